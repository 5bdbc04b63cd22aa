# Writes OUTPUT, the assembler source of the table in embed.h, with the fatbins of FOLDER that STEMS
# (separated by commas) name.
#
#     cmake -DSTEMS=noise,extend -DFOLDER=fatbins -DOUTPUT=images.s -P embed.cmake
cmake_minimum_required(VERSION 3.25)

string(REPLACE "," ";" stems "${STEMS}")
list(SORT stems)
list(LENGTH stems count)
set(images "\t.section .rodata,\"a\",%progbits\n")
set(table "")
foreach(stem IN LISTS stems)
  # .incbin copies the file as it is; the label's place is fixed by the alignment on both its sides.
  string(APPEND images "\t.balign 64\n.Llabel_${stem}:\n\t.asciz \"BRENIER image ${stem}\"\n"
         "\t.org .Llabel_${stem} + 64\n.Limage_${stem}:\n\t.incbin \"${FOLDER}/${stem}.fatbin\"\n.Lend_${stem}:\n"
         ".Lname_${stem}:\t.asciz \"${stem}\"\n")
  string(APPEND table "\t.8byte .Lname_${stem}, .Limage_${stem}, .Lend_${stem} - .Limage_${stem}\n")
endforeach()
file(WRITE "${OUTPUT}" "${images}
\t.balign 8
\t.globl brenier_image_count
\t.hidden brenier_image_count
\t.type brenier_image_count, %object
brenier_image_count:
\t.8byte ${count}
\t.size brenier_image_count, .-brenier_image_count
\t.section .data.rel.ro,\"aw\",%progbits
\t.balign 8
\t.globl brenier_images
\t.hidden brenier_images
\t.type brenier_images, %object
brenier_images:
${table}\t.size brenier_images, .-brenier_images
\t.section .note.GNU-stack,\"\",%progbits
")
