# The target `docs`: the reference by Doxygen, in <build>/reference/html. A warning is an error, and so is a public name without a comment.

find_program(OUTLAY_DOXYGEN doxygen)
set(reference_dir "${CMAKE_CURRENT_LIST_DIR}")
configure_file("${reference_dir}/Doxyfile.in" "${PROJECT_BINARY_DIR}/reference/Doxyfile" @ONLY)
if(OUTLAY_DOXYGEN)
  add_custom_target(docs
    COMMAND "${CMAKE_COMMAND}" -E rm -rf "${PROJECT_BINARY_DIR}/reference/html" "${PROJECT_BINARY_DIR}/reference/xml"
    COMMAND "${OUTLAY_DOXYGEN}" "${PROJECT_BINARY_DIR}/reference/Doxyfile"
    COMMAND "${reference_dir}/count" "${PROJECT_BINARY_DIR}/reference/xml"
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
    COMMENT "The reference: ${PROJECT_BINARY_DIR}/reference/html/index.html"
    VERBATIM)
else()
  add_custom_target(docs COMMAND "${CMAKE_COMMAND}" -E echo "outlay: docs needs doxygen. On Debian: apt-get install doxygen" COMMAND "${CMAKE_COMMAND}" -E false)
endif()
