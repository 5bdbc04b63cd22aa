# Writes OUTPUT, the registers a thread of every kernel by capability as ptxas reports them in FOLDER's
# files: lines {"kernel", 90, 168}, for a table in C++.
#
#     cmake -DFOLDER=resources -DSTEMS=noise,extend -DOUTPUT=registers.inc -P registers.cmake
cmake_minimum_required(VERSION 3.25)

string(REPLACE "," ";" stems "${STEMS}")
set(lines "")
foreach(stem IN LISTS stems)
  file(STRINGS "${FOLDER}/${stem}.txt" report REGEX "Compiling entry function|Used [0-9]+ registers")
  foreach(line IN LISTS report)
    if(line MATCHES "entry function '([a-z0-9_]+)' for 'sm_([0-9]+)")
      set(kernel "\"${CMAKE_MATCH_1}\", ${CMAKE_MATCH_2}")
    elseif(line MATCHES "Used ([0-9]+) registers")
      string(APPEND lines "{${kernel}, ${CMAKE_MATCH_1}},\n")
    endif()
  endforeach()
endforeach()
if(NOT lines)
  message(FATAL_ERROR "${FOLDER}: no report of ptxas has a line of registers")
endif()
file(WRITE "${OUTPUT}" "${lines}")
