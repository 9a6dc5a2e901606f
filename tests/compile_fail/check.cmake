# Compiles one file of this directory, with or without MUST_FAIL, and judges the outcome.
#
# A file's first line is `// refused: <regex>`, which the diagnostic must match under MUST_FAIL; without it the file must compile, so
# that a case cannot pass because of a mistake elsewhere in it.
#
# cmake -DFILE=<file> -DMUST_FAIL=<ON|OFF> -DCXX=<compiler> -DFLAGS=<flags> -DINCLUDES=<directories> -P check.cmake

file(STRINGS "${FILE}" first_line LIMIT_COUNT 1)
if(NOT first_line MATCHES "^// refused: (.+)$")
  message(FATAL_ERROR "${FILE}: the first line must be `// refused: <regex>`")
endif()
set(regex "${CMAKE_MATCH_1}")

separate_arguments(command UNIX_COMMAND "${CXX} ${FLAGS} -std=c++20 -fsyntax-only -Wall -Wextra -Wconversion -Werror")
foreach(dir IN LISTS INCLUDES)
  list(APPEND command -I "${dir}")
endforeach()
if(MUST_FAIL)
  list(APPEND command -DMUST_FAIL)
endif()

# Diagnostics are compared as English text.
set(ENV{LC_ALL} C)
execute_process(COMMAND ${command} "${FILE}" RESULT_VARIABLE status OUTPUT_VARIABLE text ERROR_VARIABLE text)

if(NOT MUST_FAIL)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${FILE} must compile without MUST_FAIL:\n${text}")
  endif()
elseif(status EQUAL 0)
  message(FATAL_ERROR "${FILE} compiles with MUST_FAIL, but must be refused")
elseif(NOT text MATCHES "${regex}")
  message(FATAL_ERROR "${FILE} is refused, but not for the reason `${regex}`:\n${text}")
endif()
