# Builds the library once more, as shared libraries that must find all they need in one another, and installs it.
#
# cmake -DSOURCE=<outlay's tree> -DBUILD=<tree> -DPREFIX=<prefix> -DGENERATOR= -DCXX= -DFLAGS= -DLAUNCHER= -DARGS=<-D...;...> -P shared.cmake

set(log "${BUILD}/configure.log")
file(MAKE_DIRECTORY "${BUILD}")
execute_process(
  COMMAND "${CMAKE_COMMAND}" -S "${SOURCE}" -B "${BUILD}/tree" -G "${GENERATOR}" "-DCMAKE_CXX_COMPILER=${CXX}" "-DCMAKE_CXX_FLAGS=${FLAGS}"
    "-DCMAKE_CXX_COMPILER_LAUNCHER=${LAUNCHER}" -DCMAKE_BUILD_TYPE=None -DBUILD_SHARED_LIBS=ON -DCMAKE_UNITY_BUILD=ON "-DCMAKE_SHARED_LINKER_FLAGS=${LINK_FLAGS}"
    -DOUTLAY_BUILD_TESTS=OFF -DOUTLAY_BUILD_EXAMPLES=OFF -DOUTLAY_BUILD_BENCH=OFF ${ARGS}
  RESULT_VARIABLE status OUTPUT_FILE "${log}" ERROR_FILE "${log}")
if(NOT status EQUAL 0)
  file(READ "${log}" text)
  message(FATAL_ERROR "configure failed:\n${text}")
endif()
execute_process(COMMAND "${CMAKE_COMMAND}" --build "${BUILD}/tree" COMMAND_ERROR_IS_FATAL ANY)
file(REMOVE_RECURSE "${PREFIX}")
execute_process(COMMAND "${CMAKE_COMMAND}" --install "${BUILD}/tree" --prefix "${PREFIX}" COMMAND_ERROR_IS_FATAL ANY)
