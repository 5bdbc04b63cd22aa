# The Python side. A wheel holds the shared library and nothing else that is built
# (pyproject.toml configures with BRENIER_PYTHON_WHEEL); otherwise, the tests of an installed wheel.

if(BRENIER_PYTHON_WHEEL)
  get_target_property(brenier_file brenier::brenier IMPORTED_LOCATION)
  install(PROGRAMS "${brenier_file}" DESTINATION lib RENAME libbrenier.so COMPONENT python)
  return()
endif()

find_package(Python3 3.9 COMPONENTS Interpreter REQUIRED)

# Installs the wheel of this tree into a virtual environment of its own and runs pytest in it.
# The wheel is built from the sources, but for the CUDA kernels, which are taken from here.
set(wheel_build "-DBRENIER_CUDA=OFF")
if(BRENIER_CUDA_FOUND)
  set(wheel_build "-DBRENIER_CUDA_BUILD=${brenier_cuda_dir}")
endif()
add_test(NAME python
  COMMAND ${CMAKE_COMMAND} -E env "CMAKE_ARGS=${wheel_build}" "BRENIER_COMMAND=${PROJECT_BINARY_DIR}/bin/brenier"
          "${Python3_EXECUTABLE}" bindings/python/tests/in_venv.py "${PROJECT_BINARY_DIR}/python"
  WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
set_tests_properties(python PROPERTIES TIMEOUT 1800)
if(TARGET cudadouble)
  set_tests_properties(python PROPERTIES ENVIRONMENT "BRENIER_CUDA_DRIVER=$<TARGET_FILE:cudadouble>")
endif()
