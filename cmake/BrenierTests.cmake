# Tests of the whole: Go's own, and what an installed tree is good for.

set(go ${CMAKE_COMMAND} -E env ${brenier_go_environment})
set(go_test "${Python3_EXECUTABLE}" "${PROJECT_SOURCE_DIR}/cmake/go_test.py")
add_test(NAME go.vet COMMAND ${go} "${brenier_go}" vet ./... WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
add_test(NAME go.test COMMAND ${go} ${go_test} "${brenier_go}" ./... WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
# Go's race detector, on what many threads share: handles, models, workspaces, the thread pool, jobs and their
# workers.
add_test(NAME go.race COMMAND ${go} ${GO_EXECUTABLE} test -race ./capi ./engine
         WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
set_tests_properties(go.vet go.test go.race PROPERTIES TIMEOUT 1800)
if(BRENIER_CUDA_FOUND)
  # The same sources without the CUDA backend, as plain `go build` sees them.
  add_test(NAME go.vet.plain COMMAND ${go} ${GO_EXECUTABLE} vet ./... WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
endif()
if(TARGET cudadouble)
  # The CUDA backend on the driver's double, which runs the kernels on the host.
  add_test(NAME go.cuda COMMAND ${go} ${go_test} "${brenier_go}" ./engine/internal/cuda/... WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
  add_test(NAME go.cuda.engine COMMAND ${go} ${go_test} "${brenier_go}" -run=CUDA ./engine WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
  set_tests_properties(go.cuda go.cuda.engine PROPERTIES TIMEOUT 1800 ENVIRONMENT "BRENIER_CUDA_DRIVER=$<TARGET_FILE:cudadouble>")
endif()

# The tree is installed, moved, and used from there by way of find_package and of pkg-config.
set(tree "${PROJECT_BINARY_DIR}/install-test")
add_test(NAME install.tree COMMAND ${CMAKE_COMMAND}
         "-DBUILD=${PROJECT_BINARY_DIR}" "-DTREE=${tree}" -P "${PROJECT_SOURCE_DIR}/cmake/install_tree.cmake")
set_tests_properties(install.tree PROPERTIES FIXTURES_SETUP installed_tree)

foreach(language c cpp)
  add_test(NAME install.find_package.${language}
           COMMAND ${CMAKE_CTEST_COMMAND} --build-and-test
                   "${PROJECT_SOURCE_DIR}/examples/${language}" "${PROJECT_BINARY_DIR}/examples-${language}"
                   --build-generator ${CMAKE_GENERATOR}
                   --build-options "-DCMAKE_PREFIX_PATH=${tree}/moved" "-DCMAKE_C_COMPILER=${CMAKE_C_COMPILER}"
                                   "-DCMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER}"
                   --test-command ${CMAKE_COMMAND} "-DPROGRAM=generate" "-DLANGUAGE=${language}"
                                  "-DMODELS=${PROJECT_SOURCE_DIR}/examples/models"
                                  "-DCOMMAND_LINE=${tree}/moved/bin/brenier"
                                  -P "${PROJECT_SOURCE_DIR}/cmake/run_example.cmake")
  set_tests_properties(install.find_package.${language} PROPERTIES FIXTURES_REQUIRED installed_tree)
endforeach()

find_program(PKG_CONFIG_EXECUTABLE NAMES pkgconf pkg-config)
if(PKG_CONFIG_EXECUTABLE)
  add_test(NAME install.pkg_config COMMAND ${CMAKE_COMMAND}
           "-DPKG_CONFIG=${PKG_CONFIG_EXECUTABLE}" "-DCC=${CMAKE_C_COMPILER}" "-DTREE=${tree}/moved"
           "-DLIBDIR=${CMAKE_INSTALL_LIBDIR}" "-DSOURCE=${PROJECT_SOURCE_DIR}"
           "-DOUTPUT=${PROJECT_BINARY_DIR}/examples-pkg-config" -P "${PROJECT_SOURCE_DIR}/cmake/pkg_config.cmake")
  set_tests_properties(install.pkg_config PROPERTIES FIXTURES_REQUIRED installed_tree)
else()
  message(STATUS "no pkg-config: install.pkg_config is left out")
endif()
