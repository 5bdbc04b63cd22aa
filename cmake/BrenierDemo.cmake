# The main job: trained weights to pictures, with the time of each stage.
add_custom_target(demo
  COMMAND ${CMAKE_COMMAND} -E make_directory "${PROJECT_BINARY_DIR}/demo"
  COMMAND "${PROJECT_BINARY_DIR}/bin/brenier" sample examples/models/mnist.safetensors
          -o "${PROJECT_BINARY_DIR}/demo/digits.png"
  COMMAND "${PROJECT_BINARY_DIR}/bin/brenier" sample examples/models/terrain.safetensors
          -o "${PROJECT_BINARY_DIR}/demo/terrain.png"
  WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
  USES_TERMINAL VERBATIM)
add_dependencies(demo brenier_command)
