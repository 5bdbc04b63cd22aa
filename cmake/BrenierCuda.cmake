# The CUDA backend's place in the build. Sets
#
#     BRENIER_CUDA_FOUND    whether this build has the backend; a message says why where it has not
#     brenier_cuda_go       go, with what cgo needs to compile and link package cuda: a script
#     brenier_cuda_inputs   what a Go program with the backend is linked from, besides Go's sources
#
# No CUDA toolkit is needed beforehand: without one on the machine, the compiler is fetched as pinned
# Python packages into the build (some 100 MB to load, 300 MB on disk). kernels/cuda/CMakeLists.txt compiles the kernels.
set(BRENIER_CUDA AUTO CACHE STRING "Build the CUDA backend: ON, OFF, or AUTO where its compiler can be had")
set_property(CACHE BRENIER_CUDA PROPERTY STRINGS AUTO ON OFF)
set(BRENIER_CUDA_TOOLKIT "" CACHE PATH "CUDA toolkit to use (with bin/nvcc and include/cuda.h); empty: found, or fetched")
set(BRENIER_CUDA_BUILD "" CACHE PATH "Folder `cuda` of another build, to take its compiled kernels instead of compiling them")

# 13.0 and no later: what a compiler makes loads on drivers of its release and after.
set(brenier_cuda_least 13.0)
set(brenier_cuda_packages
  nvidia-cuda-nvcc==13.0.88
  nvidia-cuda-crt==13.0.88
  nvidia-nvvm==13.0.88
  nvidia-cuda-runtime==13.0.96
  nvidia-cuda-cccl==13.0.85)

set(brenier_cuda_dir "${PROJECT_BINARY_DIR}/cuda")

# brenier_find_nvcc(<nvcc> <why>): an nvcc of the machine that is recent enough, or NOTFOUND and a reason.
function(brenier_find_nvcc nvcc_out why_out)
  if(BRENIER_CUDA_TOOLKIT)
    find_program(nvcc nvcc PATHS "${BRENIER_CUDA_TOOLKIT}/bin" NO_DEFAULT_PATH NO_CACHE)
    set(where "BRENIER_CUDA_TOOLKIT, ${BRENIER_CUDA_TOOLKIT},")
  else()
    find_program(nvcc nvcc HINTS ENV CUDA_PATH ENV CUDA_HOME PATHS /usr/local/cuda PATH_SUFFIXES bin NO_CACHE)
    set(where "this machine")
  endif()
  set(why "${where} has no nvcc")
  if(nvcc)
    execute_process(COMMAND "${nvcc}" --version OUTPUT_VARIABLE text ERROR_QUIET)
    string(REGEX MATCH "release ([0-9.]+)" release "${text}")
    cmake_path(GET nvcc PARENT_PATH bin)
    if(NOT release OR CMAKE_MATCH_1 VERSION_LESS brenier_cuda_least)
      set(why "${nvcc} is of CUDA ${CMAKE_MATCH_1}; want ${brenier_cuda_least} or later")
      set(nvcc nvcc-NOTFOUND)
    elseif(NOT EXISTS "${bin}/../include/cuda.h")
      set(why "${nvcc} has no include/cuda.h beside it")
      set(nvcc nvcc-NOTFOUND)
    endif()
  endif()
  set(${nvcc_out} "${nvcc}" PARENT_SCOPE)
  set(${why_out} "${why}" PARENT_SCOPE)
endfunction()

# brenier_fetch_nvcc(<nvcc> <why>): the same from the pinned packages, in a virtual environment that is kept.
function(brenier_fetch_nvcc nvcc_out why_out)
  set(environment "${brenier_cuda_dir}/toolkit")
  set(stamp "${environment}/packages.txt")
  set(nvcc nvcc-NOTFOUND)
  set(why "")
  set(have "")
  if(EXISTS "${stamp}")
    file(READ "${stamp}" have)
  endif()
  if(NOT have STREQUAL "${brenier_cuda_packages}")
    message(STATUS "CUDA backend: fetching nvcc ${brenier_cuda_least} (some 100 MB, once for each build folder)")
    find_package(Python3 3.9 QUIET COMPONENTS Interpreter)
    if(NOT Python3_Interpreter_FOUND)
      set(why "it cannot be fetched without Python 3.9 or later")
    else()
      file(REMOVE_RECURSE "${environment}")
      execute_process(COMMAND "${Python3_EXECUTABLE}" -m venv "${environment}"
                      RESULT_VARIABLE status OUTPUT_VARIABLE text ERROR_VARIABLE text)
      if(status EQUAL 0)
        execute_process(COMMAND "${environment}/bin/python" -m pip install --quiet --disable-pip-version-check
                                --no-input --no-deps --only-binary :all: ${brenier_cuda_packages}
                        RESULT_VARIABLE status OUTPUT_VARIABLE text ERROR_VARIABLE text)
      endif()
      if(status EQUAL 0)
        file(WRITE "${stamp}" "${brenier_cuda_packages}")
        set(have "${brenier_cuda_packages}")
      else()
        string(STRIP "${text}" text)
        string(REGEX REPLACE ".*\n" "" text "${text}")
        set(why "it cannot be fetched: ${text}")
      endif()
    endif()
  endif()
  if(NOT why)
    file(GLOB nvcc "${environment}/lib/python3.*/site-packages/nvidia/cu13/bin/nvcc")
    if(NOT nvcc)
      set(why "the packages that were fetched hold no nvcc")
    endif()
  endif()
  set(${nvcc_out} "${nvcc}" PARENT_SCOPE)
  set(${why_out} "${why}" PARENT_SCOPE)
endfunction()

# brenier_try_nvcc(<why>): whether nvcc and this C++ compiler get on; asked once for each pair.
function(brenier_try_nvcc why_out)
  set(why "")
  set(pair "${BRENIER_NVCC} ${CMAKE_CXX_COMPILER}")
  if(NOT pair STREQUAL BRENIER_NVCC_TRIED)
    set(probe "${brenier_cuda_dir}/probe.cu")
    file(WRITE "${probe}" "__global__ void probe(float *x) { *x = 1; }\n")
    execute_process(COMMAND "${BRENIER_NVCC}" -cubin -arch=sm_80 -ccbin "${CMAKE_CXX_COMPILER}" -o "${probe}bin" "${probe}"
                    RESULT_VARIABLE status OUTPUT_VARIABLE text ERROR_VARIABLE text)
    if(status EQUAL 0)
      set(BRENIER_NVCC_TRIED "${pair}" CACHE INTERNAL "nvcc and the C++ compiler that it works with")
    else()
      string(REGEX MATCH "[^\n]*[Ee]rror[^\n]*" text "${text}")
      set(why "${BRENIER_NVCC} does not work with ${CMAKE_CXX_COMPILER}: ${text}")
    endif()
  endif()
  set(${why_out} "${why}" PARENT_SCOPE)
endfunction()

set(BRENIER_CUDA_FOUND FALSE)
set(brenier_cuda_inputs "")
if(NOT BRENIER_CUDA)
  message(STATUS "CUDA backend: left out (BRENIER_CUDA=${BRENIER_CUDA})")
elseif(BRENIER_CUDA_BUILD)
  cmake_path(ABSOLUTE_PATH BRENIER_CUDA_BUILD NORMALIZE OUTPUT_VARIABLE brenier_cuda_dir)
  set(brenier_cuda_inputs "${brenier_cuda_dir}/lib/libbrenier_kernels.a" "${brenier_cuda_dir}/lib/libcuda.a")
  foreach(file IN LISTS brenier_cuda_inputs)
    if(NOT EXISTS "${file}")
      message(FATAL_ERROR "BRENIER_CUDA_BUILD: there is no ${file}; want the folder `cuda` of a finished build")
    endif()
  endforeach()
  set(BRENIER_CUDA_FOUND TRUE)
  message(STATUS "CUDA backend: with the kernels of ${brenier_cuda_dir}")
else()
  file(MAKE_DIRECTORY "${brenier_cuda_dir}")
  brenier_find_nvcc(BRENIER_NVCC why)
  if(NOT BRENIER_NVCC AND NOT BRENIER_CUDA_TOOLKIT)
    brenier_fetch_nvcc(BRENIER_NVCC fetched)
    if(fetched)
      string(APPEND why ", and ${fetched}")
    endif()
  endif()
  if(BRENIER_NVCC)
    brenier_try_nvcc(why)
  endif()
  if(BRENIER_NVCC AND NOT why)
    set(BRENIER_CUDA_FOUND TRUE)
    message(STATUS "CUDA backend: kernels by ${BRENIER_NVCC}")
  elseif(BRENIER_CUDA STREQUAL "AUTO")
    message(STATUS "CUDA backend: this build has none: ${why}")
  else()
    message(FATAL_ERROR "BRENIER_CUDA=${BRENIER_CUDA}: ${why}; name a CUDA toolkit by BRENIER_CUDA_TOOLKIT")
  endif()
endif()

if(BRENIER_CUDA_FOUND)
  if(NOT BRENIER_CUDA_BUILD)
    cmake_path(GET BRENIER_NVCC PARENT_PATH brenier_toolkit)
    cmake_path(GET brenier_toolkit PARENT_PATH brenier_toolkit)
    # The one header of the toolkit that is needed outside the kernels.
    configure_file("${brenier_toolkit}/include/cuda.h" "${brenier_cuda_dir}/include/cuda.h" COPYONLY)
    enable_language(ASM)
    add_subdirectory(kernels/cuda)
    list(APPEND brenier_cuda_inputs "$<TARGET_FILE:brenier_kernels>" "$<TARGET_FILE:brenier_cuda_forward>")
  endif()

  # Go sees neither into archives nor into headers outside a package. So the script hands Go what they
  # hold as flags that do nothing else: -D of the compiler, for the packages that read the kernels'
  # parameter structs, and the linker's -X of a variable that no package has.
  set(brenier_cuda_go "${PROJECT_BINARY_DIR}/cuda-go/go")
  set(double "")
  if(TARGET cudadouble)
    set(double "$<TARGET_FILE:cudadouble>")
  endif()
  list(JOIN brenier_cuda_inputs "' '" inputs)
  file(GENERATE OUTPUT "${brenier_cuda_go}" FILE_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE
    CONTENT "#!/bin/sh
# go with the CUDA backend: ${brenier_cuda_go} test ./engine/internal/cuda/...
headers=$(cat '${PROJECT_SOURCE_DIR}'/kernels/cuda/*.h '${PROJECT_SOURCE_DIR}'/kernels/cuda/driver/*.h | cksum)
linked=$(cat '${inputs}' '${double}' 2>/dev/null | cksum)
export CGO_CFLAGS=\"-g -O2 '-I${PROJECT_SOURCE_DIR}/kernels/cuda/driver' '-I${brenier_cuda_dir}/include'\"
export CGO_LDFLAGS=\"-O2 -g '-L${brenier_cuda_dir}/lib'\"
export GOFLAGS=\"$GOFLAGS -tags=cuda -gcflags=brenier/engine/internal/cuda/...=-D=\${headers%% *} -ldflags=-X=brenier.linked=\${linked%% *}\"
exec '${GO_EXECUTABLE}' \"$@\"
")
endif()
