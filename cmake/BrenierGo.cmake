# What Go builds. Go's own cache knows best what is stale within a build; but in c-shared mode it
# compiles every package with C in it each time, so a build that would change nothing is left out.
file(GLOB_RECURSE brenier_go_sources CONFIGURE_DEPENDS
     engine/*.go engine/*.h capi/*.go capi/*.c capi/*.h kernels/*.go kernels/*.c kernels/*.h cmd/*.go)
list(FILTER brenier_go_sources EXCLUDE REGEX "_test\\.go$|/tests/|/testdata/|/kernels/cuda/host/")
list(APPEND brenier_go_sources "${PROJECT_SOURCE_DIR}/go.mod" "${PROJECT_SOURCE_DIR}/go.sum")

# go, and the tags of what it builds: with the CUDA backend where this build has it.
set(brenier_go "${GO_EXECUTABLE}")
set(brenier_go_tags "")
if(BRENIER_CUDA_FOUND)
  set(brenier_go "${brenier_cuda_go}")
  set(brenier_go_tags cuda)
endif()

set(brenier_go_environment "CC=${CMAKE_C_COMPILER}" "CXX=${CMAKE_CXX_COMPILER}" CGO_ENABLED=1)

# -trimpath and -buildvcs=false: the same sources give the same bytes wherever they lie.
set(brenier_go_build build -trimpath -buildvcs=false)

# brenier_add_library(<name> [NO_CUDA] [CC compiler] [TAGS tag...] [FLAGS flag...] [EXPORTS function...])
#
# lib/lib<name>.so with its version script, SONAME and symlinks, as the imported target
# brenier::<name>. NO_CUDA leaves the CUDA backend out, TAGS are build tags, FLAGS are for `go build`,
# EXPORTS further functions to show.
function(brenier_add_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "NO_CUDA" "CC" "TAGS;FLAGS;EXPORTS")
  set(environment ${brenier_go_environment})
  set(go "${brenier_go}")
  set(tags ${arg_TAGS} ${brenier_go_tags})
  set(inputs ${brenier_cuda_inputs})
  if(arg_NO_CUDA)
    set(go "${GO_EXECUTABLE}")
    set(tags ${arg_TAGS})
    set(inputs "")
  endif()
  list(JOIN tags "," tags)
  if(arg_CC)
    list(APPEND environment "CC=${arg_CC}")
  endif()
  set(directory "${PROJECT_BINARY_DIR}/lib")
  set(short "lib${name}.so")
  set(soname "${short}.${PROJECT_VERSION_MAJOR}")
  set(file "${short}.${PROJECT_VERSION}")

  # Go's cache does not see into linker flags: a name made of the content makes a change of the
  # version script a change of the flags.
  set(map_source "${PROJECT_SOURCE_DIR}/capi/brenier.map")
  set_property(DIRECTORY "${PROJECT_SOURCE_DIR}" APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${map_source}")
  file(READ "${map_source}" map)
  foreach(function IN LISTS arg_EXPORTS)
    string(REPLACE "global:" "global:\n    ${function};" map "${map}")
  endforeach()
  string(SHA256 hash "${map}")
  string(SUBSTRING "${hash}" 0 12 hash)
  set(map_file "${PROJECT_BINARY_DIR}/${name}-${hash}.map")
  file(CONFIGURE OUTPUT "${map_file}" CONTENT "${map}" @ONLY)

  set(strip "$<$<CONFIG:Release,MinSizeRel>:-s -w >")
  if("-asan" IN_LIST arg_FLAGS)
    set(strip "")  # its reports name functions
  endif()
  set(linker "-extldflags '\"-Wl,--version-script=${map_file}\" -Wl,-soname,${soname}'")
  add_custom_command(
    OUTPUT "${directory}/${file}" "${directory}/${soname}" "${directory}/${short}"
    # Go takes an output for up to date where nothing but an archive or a linker's file is new.
    COMMAND ${CMAKE_COMMAND} -E rm -f "${directory}/${file}"
    COMMAND ${CMAKE_COMMAND} -E env ${environment} "${go}" ${brenier_go_build} -buildmode=c-shared "-tags=${tags}" ${arg_FLAGS}
            "-ldflags=${strip}${linker}" -o "${directory}/${file}" ./capi
    # cgo's own header: brenier.h is the public one.
    COMMAND ${CMAKE_COMMAND} -E rm -f "${directory}/${short}.${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}.h"
    COMMAND ${CMAKE_COMMAND} -E create_symlink "${file}" "${directory}/${soname}"
    COMMAND ${CMAKE_COMMAND} -E create_symlink "${soname}" "${directory}/${short}"
    DEPENDS ${brenier_go_sources} ${inputs} "${map_file}"
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
    COMMENT "Building ${short} with Go"
    VERBATIM)
  add_custom_target(${name}_library ALL DEPENDS "${directory}/${file}")

  add_library(brenier::${name} SHARED IMPORTED GLOBAL)
  set_target_properties(brenier::${name} PROPERTIES
    IMPORTED_LOCATION "${directory}/${file}"
    IMPORTED_SONAME "${soname}"
    INTERFACE_INCLUDE_DIRECTORIES "${PROJECT_SOURCE_DIR}/capi")
  add_dependencies(brenier::${name} ${name}_library)
endfunction()

# brenier_add_command(<target> <package> <output>)
function(brenier_add_command target package output)
  add_custom_command(
    OUTPUT "${output}"
    COMMAND ${CMAKE_COMMAND} -E rm -f "${output}"
    COMMAND ${CMAKE_COMMAND} -E env ${brenier_go_environment} "${brenier_go}" ${brenier_go_build} "-tags=${brenier_go_tags}"
            "-ldflags=$<$<CONFIG:Release,MinSizeRel>:-s -w>" -o "${output}" ${package}
    DEPENDS ${brenier_go_sources} ${brenier_cuda_inputs}
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
    COMMENT "Building ${package} with Go"
    VERBATIM)
  add_custom_target(${target} ALL DEPENDS "${output}")
endfunction()
