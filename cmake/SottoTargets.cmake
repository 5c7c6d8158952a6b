# Helpers that give every target the same warnings, include root and sanitizers.

add_library(sotto_options INTERFACE)
target_include_directories(sotto_options INTERFACE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
target_compile_options(sotto_options INTERFACE -Wall -Wextra -Wpedantic -Wshadow -ffp-contract=off
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)  # GCC 12 warns wrongly about string concatenation
if(SOTTO_WERROR)
  target_compile_options(sotto_options INTERFACE -Werror)
endif()
if(SOTTO_SANITIZE)
  target_compile_options(sotto_options INTERFACE -fsanitize=${SOTTO_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(sotto_options INTERFACE -fsanitize=${SOTTO_SANITIZE})
endif()

# sotto_library(NAME SOURCES... DEPENDS targets...): static library sotto_NAME (alias sotto::NAME) of one folder of src/.
function(sotto_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(sotto_${name} STATIC ${ARG_SOURCES})
  add_library(sotto::${name} ALIAS sotto_${name})
  target_link_libraries(sotto_${name} PUBLIC sotto_options ${ARG_DEPENDS})
endfunction()

# sotto_test(NAME SOURCES... DEPENDS targets... LABELS labels...): one GoogleTest program, one ctest entry per test case.
function(sotto_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;LABELS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE sotto_options GTest::gtest GTest::gmock GTest::gtest_main ${ARG_DEPENDS})
  target_compile_definitions(${name} PRIVATE SOTTO_SOURCE_DIR="${CMAKE_SOURCE_DIR}" SOTTO_BIN_DIR="${CMAKE_RUNTIME_OUTPUT_DIRECTORY}")
  if(NOT ARG_LABELS)
    set(ARG_LABELS fast)
  endif()
  gtest_discover_tests(${name} PROPERTIES LABELS "${ARG_LABELS}" DISCOVERY_TIMEOUT 60)
endfunction()
