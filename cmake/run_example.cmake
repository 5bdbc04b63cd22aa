# Runs the example program PROGRAM on every model that it can draw, and looks at what it wrote; then in C
# `tile`, and `world`, whose picture must be the region that COMMAND_LINE reads.
if(LANGUAGE STREQUAL "c")
  set(arguments 4 2)  # columns, rows
else()
  set(arguments 4)
endif()
file(GLOB models "${MODELS}/*.safetensors")
if(NOT models)
  message(FATAL_ERROR "no model in ${MODELS}")
endif()
foreach(model IN LISTS models)
  cmake_path(GET model STEM name)
  execute_process(COMMAND "./${PROGRAM}" "${model}" "${name}.pnm" ${arguments} COMMAND_ERROR_IS_FATAL ANY)
  file(READ "${name}.pnm" magic LIMIT 3)
  file(SIZE "${name}.pnm" bytes)
  if(NOT magic MATCHES "^P[56] " OR bytes LESS 1000)
    message(FATAL_ERROR "${name}.pnm: want a picture, got ${bytes} bytes that begin with ${magic}")
  endif()
  message(STATUS "${name}.pnm: ${bytes} bytes")
endforeach()
execute_process(COMMAND "./${PROGRAM}" no/such/model out.pnm RESULT_VARIABLE status ERROR_VARIABLE text)
if(NOT status EQUAL 1 OR NOT text MATCHES "no/such/model")
  message(FATAL_ERROR "a missing model: want exit status 1 and its name, got ${status}: ${text}")
endif()

if(LANGUAGE STREQUAL "c")
  execute_process(COMMAND ./tile "${MODELS}/terrain.safetensors" 3 OUTPUT_VARIABLE text COMMAND_ERROR_IS_FATAL ANY)
  string(LENGTH "${text}" length)
  if(NOT length EQUAL 2080 OR NOT text MATCHES "^([-.:=+*#%@ ]+\n)+$" OR NOT text MATCHES "@" OR NOT text MATCHES " ")
    message(FATAL_ERROR "tile: want 32 lines of 64 characters, black and white among them, got\n${text}")
  endif()
endif()

execute_process(COMMAND "${CMAKE_COMMAND}" -E env BRENIER_DEVICE=cpu ./world "${MODELS}/terrain.safetensors"
                OUTPUT_FILE world.pgm COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND "${COMMAND_LINE}" field "${MODELS}/terrain.safetensors" --device cpu --seed 7 --octaves 8,1:0.2:1
                        --region -256,-256,512x512 --dtype u8 --out world.raw COMMAND_ERROR_IS_FATAL ANY)
file(READ world.pgm picture HEX OFFSET 15) # of the header
file(READ world.raw expected HEX)
if(NOT picture STREQUAL expected)
  message(FATAL_ERROR "world.pgm: not the region that `brenier field` reads")
endif()
