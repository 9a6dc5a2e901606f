# Configures this tree by itself with OUTLAY_COMPONENTS, and judges what is then to be built. Nothing is compiled.
#
# cmake -DSOURCE=<outlay's tree> -DBUILD=<tree> -DGENERATOR= -DCXX= -DFLAGS= -DLAUNCHER=
#   -DCOMPONENTS=<name>,...   what is asked for
#   -DMAKES=<target>,...      targets that there must be
#   -DLEAVES=<target>,...     targets that there must not be
#   -DHIDE=<package>,...      packages that must not be needed
#   -P components.cmake

file(REMOVE_RECURSE "${BUILD}")
set(args)
string(REPLACE "," ";" HIDE "${HIDE}")
foreach(package IN LISTS HIDE)
  list(APPEND args "-DCMAKE_DISABLE_FIND_PACKAGE_${package}=ON")
endforeach()
string(REPLACE "," ";" components "${COMPONENTS}")
# A build type in the environment would hide the default.
execute_process(
  COMMAND "${CMAKE_COMMAND}" -E env --unset=CMAKE_BUILD_TYPE
    "${CMAKE_COMMAND}" -S "${SOURCE}" -B "${BUILD}" -G "${GENERATOR}" "-DCMAKE_CXX_COMPILER=${CXX}" "-DCMAKE_CXX_FLAGS=${FLAGS}"
    "-DCMAKE_CXX_COMPILER_LAUNCHER=${LAUNCHER}" "-DOUTLAY_COMPONENTS=${components}" ${args}
  RESULT_VARIABLE status OUTPUT_VARIABLE text ERROR_VARIABLE text)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "configure failed:\n${text}")
endif()

execute_process(COMMAND "${CMAKE_COMMAND}" --build "${BUILD}" --target help OUTPUT_VARIABLE targets COMMAND_ERROR_IS_FATAL ANY)
string(REPLACE "," ";" MAKES "${MAKES}")
foreach(target IN LISTS MAKES)
  if(NOT targets MATCHES "[ \n]${target}[:\n ]")
    message(FATAL_ERROR "OUTLAY_COMPONENTS=${COMPONENTS} does not make the target ${target}:\n${targets}")
  endif()
endforeach()
string(REPLACE "," ";" LEAVES "${LEAVES}")
foreach(target IN LISTS LEAVES)
  if(targets MATCHES "[ \n]${target}[:\n ]")
    message(FATAL_ERROR "OUTLAY_COMPONENTS=${COMPONENTS} makes the target ${target}, too")
  endif()
endforeach()

load_cache("${BUILD}" READ_WITH_PREFIX cached_ CMAKE_BUILD_TYPE CMAKE_CONFIGURATION_TYPES)
if(NOT cached_CMAKE_CONFIGURATION_TYPES AND NOT cached_CMAKE_BUILD_TYPE STREQUAL Release)
  message(FATAL_ERROR "a build of which no type is said must be a Release; it is `${cached_CMAKE_BUILD_TYPE}`")
endif()
