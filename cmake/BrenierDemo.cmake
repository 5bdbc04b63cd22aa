# The main job: model files to pictures, on whatever device is there, with the time of each stage.
set(demo "${PROJECT_BINARY_DIR}/demo")
set(sample "${PROJECT_BINARY_DIR}/bin/brenier" sample)
add_custom_target(demo
  COMMAND ${CMAKE_COMMAND} -E make_directory "${demo}"
  COMMAND ${sample} examples/models/mnist.safetensors -n 100 --out "${demo}/digits.png"
  COMMAND ${sample} examples/models/terrain.safetensors -n 36 --out "${demo}/terrain.png"
  COMMAND ${sample} examples/models/mnist.safetensors -n 20 --compare --out "${demo}/digits-modes.png"
  COMMAND ${sample} examples/models/terrain.safetensors -n 10 --compare --out "${demo}/terrain-modes.png"
  COMMAND ${CMAKE_COMMAND} -E echo "pictures are in ${demo}"
  WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
  USES_TERMINAL VERBATIM)
add_dependencies(demo brenier_command)
