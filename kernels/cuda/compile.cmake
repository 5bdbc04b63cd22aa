# Runs the compiler after `--`. What it says on stderr is kept in REPORT, and shown only where it is more
# than the resources that ptxas reports.
#
#     cmake -DREPORT=noise.txt -P compile.cmake -- nvcc ...
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
execute_process(COMMAND ${command} RESULT_VARIABLE status ERROR_VARIABLE text)
string(REGEX REPLACE "(ptxas info |    [0-9]+ bytes stack frame)[^\n]*\n" "" rest "${text}")
if(NOT rest STREQUAL "")
  message("${rest}")
endif()
if(NOT status EQUAL 0)
  message(FATAL_ERROR "nvcc failed")
endif()
file(WRITE "${REPORT}" "${text}")
