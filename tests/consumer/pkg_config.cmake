# Builds and runs one file with what pkg-config says, and nothing else.
#
# cmake -DSOURCE=<file> -DMODULE=<module> -DBUILD=<directory> -DPREFIX= -DLIBDIR= -DPKG_CONFIG= -DCXX= -DFLAGS= -P pkg_config.cmake

file(REMOVE_RECURSE "${BUILD}")
file(MAKE_DIRECTORY "${BUILD}")
cmake_path(ABSOLUTE_PATH LIBDIR BASE_DIRECTORY "${PREFIX}")
set(ENV{PKG_CONFIG_PATH} "${LIBDIR}/pkgconfig")

execute_process(COMMAND "${PKG_CONFIG}" --print-errors --cflags --libs ${MODULE} OUTPUT_VARIABLE found
  OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
separate_arguments(found UNIX_COMMAND "${found}")
separate_arguments(flags UNIX_COMMAND "${FLAGS}")
execute_process(COMMAND "${CXX}" ${flags} -std=c++20 "${SOURCE}" -o "${BUILD}/program" ${found} "-Wl,-rpath,${LIBDIR}"
  COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND "${BUILD}/program" WORKING_DIRECTORY "${BUILD}" COMMAND_ERROR_IS_FATAL ANY)
