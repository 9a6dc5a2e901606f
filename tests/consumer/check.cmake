# Configures, builds and runs a consumer's project from nothing, and judges the outcome.
#
# cmake -DPROJECT=<source tree> -DBUILD=<build tree> -DPREFIX=<outlay's prefix> -DGENERATOR= -DCXX= -DFLAGS= -DLAUNCHER=
#   -DARGS=<-D...;...>        for the project's configure
#   -DRUN=<program>           run at the end, in an empty directory
#   -DFORBID=<regex>          no file that the compiler reads may match
#   -DREFUSED=<regex>         configure must fail, with a message that matches
#   -P check.cmake

file(REMOVE_RECURSE "${BUILD}")
file(MAKE_DIRECTORY "${BUILD}")

set(log "${BUILD}/configure.log")
execute_process(
  COMMAND "${CMAKE_COMMAND}" -S "${PROJECT}" -B "${BUILD}/tree" -G "${GENERATOR}" "-DCMAKE_CXX_COMPILER=${CXX}" "-DCMAKE_CXX_FLAGS=${FLAGS}"
    "-DCMAKE_CXX_COMPILER_LAUNCHER=${LAUNCHER}" "-DCMAKE_PREFIX_PATH=${PREFIX}" -DCMAKE_EXPORT_COMPILE_COMMANDS=ON ${ARGS}
  RESULT_VARIABLE status OUTPUT_FILE "${log}" ERROR_FILE "${log}")
file(READ "${log}" text)

if(REFUSED)
  if(status EQUAL 0)
    message(FATAL_ERROR "configure must fail, but did not:\n${text}")
  endif()
  # CMake wraps messages; a regex of one line must still match.
  string(REGEX REPLACE "[ \n]+" " " text "${text}")
  if(NOT text MATCHES "${REFUSED}")
    message(FATAL_ERROR "configure failed, but not for the reason `${REFUSED}`:\n${text}")
  endif()
  return()
endif()

if(NOT status EQUAL 0)
  message(FATAL_ERROR "configure failed:\n${text}")
endif()
execute_process(COMMAND "${CMAKE_COMMAND}" --build "${BUILD}/tree" RESULT_VARIABLE status OUTPUT_VARIABLE text ERROR_VARIABLE text)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "build failed:\n${text}")
endif()

if(FORBID)
  file(READ "${BUILD}/tree/compile_commands.json" commands)
  string(JSON count LENGTH "${commands}")
  math(EXPR last "${count} - 1")
  foreach(i RANGE ${last})
    string(JSON command GET "${commands}" ${i} command)
    string(JSON dir GET "${commands}" ${i} directory)
    separate_arguments(command UNIX_COMMAND "${command}")
    list(FIND command -o at)
    math(EXPR object "${at} + 1")
    list(REMOVE_AT command ${at} ${object})
    list(REMOVE_ITEM command -c)
    execute_process(COMMAND ${command} -M WORKING_DIRECTORY "${dir}" OUTPUT_VARIABLE read COMMAND_ERROR_IS_FATAL ANY)
    string(REGEX MATCHALL "[^ \n\\]+" read "${read}")
    list(LENGTH read files)
    if(files LESS 10)
      message(FATAL_ERROR "the compiler named only ${files} files: ${read}")
    endif()
    foreach(file IN LISTS read)
      if(file MATCHES "${FORBID}")
        message(FATAL_ERROR "the consumer reads ${file}, which it must do without")
      endif()
    endforeach()
  endforeach()
endif()

if(RUN)
  file(MAKE_DIRECTORY "${BUILD}/empty")
  execute_process(COMMAND "${BUILD}/tree/${RUN}" WORKING_DIRECTORY "${BUILD}/empty" RESULT_VARIABLE status
    OUTPUT_VARIABLE text ERROR_VARIABLE text TIMEOUT 120)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${RUN} ended with ${status}:\n${text}")
  endif()
  message(STATUS "${RUN} printed:\n${text}")
endif()
