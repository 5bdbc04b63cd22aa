# Writes OUTPUT, the assembler source of the forwarding functions: one for each function that the driver's
# header declares (HEADER: the header after preprocessing), so that none is missed whatever objects are
# linked against it. load.h says what they do.
#
#     cmake -DHEADER=cuda.i -DOUTPUT=forward.s -DPROCESSOR=x86_64 -P forward.cmake
cmake_minimum_required(VERSION 3.25)

file(READ "${HEADER}" text)
string(REGEX MATCHALL "CUresult[ \t\r\n]+cu[A-Z][A-Za-z0-9_]*[ \t\r\n]*\\(" declarations "${text}")
list(TRANSFORM declarations REPLACE "CUresult[ \t\r\n]+(cu[A-Za-z0-9_]*).*" "\\1")
list(REMOVE_DUPLICATES declarations)
list(REMOVE_ITEM declarations cuInit) # load.c
list(SORT declarations)
list(LENGTH declarations count)
if(count LESS 300)
  message(FATAL_ERROR "${HEADER}: want the driver's functions, some 450, got ${count}")
endif()

if(PROCESSOR MATCHES "^(x86_64|AMD64)$")
  set(word ".quad")
  set(jump "\tendbr64\n\tjmp *brenier_cuda_driver_slots+OFFSET(%rip)\n")
elseif(PROCESSOR MATCHES "^(aarch64|arm64)$")
  set(word ".xword")
  # bti c, as a hint that older processors pass over.
  string(CONCAT jump "\thint #34\n\tadrp x16, brenier_cuda_driver_slots+OFFSET\n"
         "\tldr x16, [x16, :lo12:brenier_cuda_driver_slots+OFFSET]\n\tbr x16\n")
else()
  message(FATAL_ERROR "no forwarding function is written for the processor ${PROCESSOR}")
endif()

set(functions "")
set(slots "")
set(names "")
set(strings "")
set(index 0)
foreach(name IN LISTS declarations)
  math(EXPR offset "8 * ${index}")
  string(REPLACE "OFFSET" "${offset}" body "${jump}")
  string(APPEND functions "\t.globl ${name}\n\t.hidden ${name}\n\t.type ${name}, %function\n"
         "${name}:\n\t.cfi_startproc\n${body}\t.cfi_endproc\n\t.size ${name}, .-${name}\n")
  string(APPEND slots "\t${word} brenier_cuda_driver_absent\n")
  string(APPEND names "\t${word} .Lname${index}\n")
  string(APPEND strings ".Lname${index}:\t.asciz \"${name}\"\n")
  math(EXPR index "${index} + 1")
endforeach()

# table(<section> <flags> <symbol> <lines>)
macro(table section flags symbol lines)
  string(APPEND source "\t.section ${section},\"${flags}\",%progbits\n\t.balign 8\n\t.globl ${symbol}\n\t.hidden ${symbol}\n"
         "\t.type ${symbol}, %object\n${symbol}:\n${lines}\t.size ${symbol}, .-${symbol}\n")
endmacro()
set(source "\t.text\n\t.hidden brenier_cuda_driver_absent\n${functions}")
table(.data aw brenier_cuda_driver_slots "${slots}")
table(.data.rel.ro aw brenier_cuda_driver_names "${names}")
table(.rodata a brenier_cuda_driver_count "\t${word} ${count}\n")
string(APPEND source "${strings}\t.section .note.GNU-stack,\"\",%progbits\n")
file(WRITE "${OUTPUT}" "${source}")
