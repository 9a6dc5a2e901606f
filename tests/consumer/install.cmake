# Installs the build into a fresh prefix: all of it, or only the install components named.
#
# cmake -DBUILD=<tree> -DPREFIX=<prefix> [-DCOMPONENTS=<name>...] -P install.cmake

file(REMOVE_RECURSE "${PREFIX}")
if(NOT COMPONENTS)
  execute_process(COMMAND "${CMAKE_COMMAND}" --install "${BUILD}" --prefix "${PREFIX}" COMMAND_ERROR_IS_FATAL ANY)
endif()
foreach(component IN LISTS COMPONENTS)
  execute_process(COMMAND "${CMAKE_COMMAND}" --install "${BUILD}" --prefix "${PREFIX}" --component "${component}"
    COMMAND_ERROR_IS_FATAL ANY)
endforeach()
