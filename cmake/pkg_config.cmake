# Builds and runs examples/c/hello.c with the flags of pkg-config alone.
set(ENV{PKG_CONFIG_PATH} "${TREE}/${LIBDIR}/pkgconfig")
execute_process(COMMAND "${PKG_CONFIG}" --cflags --libs brenier OUTPUT_VARIABLE flags
                OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
separate_arguments(flags UNIX_COMMAND "${flags}")
file(MAKE_DIRECTORY "${OUTPUT}")
execute_process(COMMAND "${CC}" "${SOURCE}/examples/c/hello.c" ${flags} -o "${OUTPUT}/hello" COMMAND_ERROR_IS_FATAL ANY)
set(ENV{LD_LIBRARY_PATH} "${TREE}/${LIBDIR}")
execute_process(COMMAND "${OUTPUT}/hello" "${SOURCE}/examples/models/mnist.safetensors"
                OUTPUT_FILE "${OUTPUT}/digit.pgm" COMMAND_ERROR_IS_FATAL ANY)
file(SIZE "${OUTPUT}/digit.pgm" bytes)
math(EXPR expected "13 + 28 * 28")
if(NOT bytes EQUAL expected)
  message(FATAL_ERROR "digit.pgm: want ${expected} bytes, got ${bytes}")
endif()
