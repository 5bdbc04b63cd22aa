# Runs the compiler after `--`. What it says on stderr is kept in REPORT, and shown only where it is more
# than the resources that ptxas reports. The cubins, one for each card, are kept in the folder CUBINS, for
# bench/sass.
#
#     cmake -DREPORT=noise.txt -DCUBINS=cubin/noise -P compile.cmake -- nvcc ...
cmake_minimum_required(VERSION 3.25)

set(command "")
set(found FALSE)
foreach(i RANGE 1 ${CMAKE_ARGC})
  if(found AND i LESS CMAKE_ARGC)
    list(APPEND command "${CMAKE_ARGV${i}}")
  elseif("${CMAKE_ARGV${i}}" STREQUAL "--")
    set(found TRUE)
  endif()
endforeach()

file(REMOVE "${REPORT}")
file(REMOVE_RECURSE "${CUBINS}")
set(between "${CUBINS}.between")
file(MAKE_DIRECTORY "${CUBINS}" "${between}")
execute_process(COMMAND ${command} --keep --keep-dir "${between}" RESULT_VARIABLE status ERROR_VARIABLE text)
file(GLOB cubins "${between}/*.cubin")
if(cubins)
  file(COPY ${cubins} DESTINATION "${CUBINS}")
endif()
file(REMOVE_RECURSE "${between}")
string(REGEX REPLACE "(ptxas info |    [0-9]+ bytes stack frame)[^\n]*\n" "" rest "${text}")
if(NOT rest STREQUAL "")
  message("${rest}")
endif()
if(NOT status EQUAL 0)
  message(FATAL_ERROR "nvcc failed")
endif()
file(WRITE "${REPORT}" "${text}")
