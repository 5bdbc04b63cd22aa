# The installed tree, which can be moved as a whole:
#
#     bin/brenier
#     include/brenier.h brenier.hpp
#     lib/libbrenier.so -> .so.0 -> .so.0.1.0
#     lib/cmake/brenier/    find_package(brenier CONFIG): brenier::brenier, brenier::cpp
#     lib/pkgconfig/brenier.pc
include(CMakePackageConfigHelpers)

set(brenier_cmake_dir "${CMAKE_INSTALL_LIBDIR}/cmake/brenier")
get_target_property(brenier_file brenier::brenier IMPORTED_LOCATION)
get_target_property(brenier_soname brenier::brenier IMPORTED_SONAME)

install(PROGRAMS "${brenier_file}" DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(FILES "${PROJECT_BINARY_DIR}/lib/${brenier_soname}" "${PROJECT_BINARY_DIR}/lib/libbrenier.so"
        DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(FILES capi/brenier.h bindings/cpp/brenier.hpp DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(PROGRAMS "${PROJECT_BINARY_DIR}/bin/brenier" DESTINATION "${CMAKE_INSTALL_BINDIR}")

set(brenier_include_dir "${CMAKE_INSTALL_INCLUDEDIR}")
set(brenier_library "${CMAKE_INSTALL_LIBDIR}/libbrenier.so.${PROJECT_VERSION}")
configure_package_config_file(cmake/brenierConfig.cmake.in "${PROJECT_BINARY_DIR}/brenierConfig.cmake"
  INSTALL_DESTINATION "${brenier_cmake_dir}"
  PATH_VARS brenier_include_dir brenier_library
  NO_CHECK_REQUIRED_COMPONENTS_MACRO)
# While the major version is 0, another minor version is another interface.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/brenierConfigVersion.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/brenierConfig.cmake" "${PROJECT_BINARY_DIR}/brenierConfigVersion.cmake"
        DESTINATION "${brenier_cmake_dir}")

# The prefix is found from where the .pc file lies, unless the directories are absolute.
cmake_path(IS_ABSOLUTE CMAKE_INSTALL_LIBDIR absolute)
if(absolute)
  set(pc_prefix "${CMAKE_INSTALL_PREFIX}")
else()
  file(RELATIVE_PATH pc_prefix "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
  string(REGEX REPLACE "/$" "" pc_prefix "${pc_prefix}")
  string(PREPEND pc_prefix "\${pcfiledir}/")
endif()
foreach(kind LIB INCLUDE)
  string(TOLOWER ${kind} lower)
  cmake_path(IS_ABSOLUTE CMAKE_INSTALL_${kind}DIR absolute)
  set(pc_${lower}dir "${CMAKE_INSTALL_${kind}DIR}")
  if(NOT absolute)
    string(PREPEND pc_${lower}dir "\${prefix}/")
  endif()
endforeach()
configure_file(cmake/brenier.pc.in "${PROJECT_BINARY_DIR}/brenier.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/brenier.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
