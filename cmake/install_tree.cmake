# Installs the build to TREE/made and moves that to TREE/moved: nothing in it may know where it was.
file(REMOVE_RECURSE "${TREE}")
execute_process(COMMAND ${CMAKE_COMMAND} --install "${BUILD}" --prefix "${TREE}/made"
                COMMAND_ERROR_IS_FATAL ANY)
file(RENAME "${TREE}/made" "${TREE}/moved")

file(GLOB_RECURSE files LIST_DIRECTORIES false "${TREE}/moved/*.cmake" "${TREE}/moved/*.pc" "${TREE}/moved/*.h*")
foreach(file IN LISTS files)
  file(READ "${file}" text)
  if(text MATCHES "/made|${BUILD}")
    message(FATAL_ERROR "${file} knows where it was made")
  endif()
endforeach()
execute_process(COMMAND "${TREE}/moved/bin/brenier" --help OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
