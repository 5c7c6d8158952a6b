# Helpers that give every target the same warnings, include roots and sanitizers.

# What Sotto's own sources are compiled with. Whoever uses the library does not get these.
add_library(sotto_options INTERFACE)
target_compile_options(sotto_options INTERFACE -Wall -Wextra -Wpedantic -Wshadow -ffp-contract=off
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)  # GCC 12 warns wrongly about string concatenation
# Mistakes become harder to exploit, in programs and libraries. Sanitizers bring checks of their own.
add_library(sotto_hardening INTERFACE)
include(CheckPIESupported)
check_pie_supported(LANGUAGES CXX)
if(SOTTO_HARDEN AND NOT SOTTO_SANITIZE)
  set(sotto_optimised $<CONFIG:Release,RelWithDebInfo,MinSizeRel>)  # FORTIFY needs optimisation
  target_compile_options(sotto_hardening INTERFACE -fstack-protector-strong
    $<${sotto_optimised}:-U_FORTIFY_SOURCE> $<${sotto_optimised}:-D_FORTIFY_SOURCE=2>)
  target_link_options(sotto_hardening INTERFACE -Wl,-z,relro -Wl,-z,now)
endif()
target_link_libraries(sotto_options INTERFACE sotto_hardening)
if(SOTTO_WERROR)
  target_compile_options(sotto_options INTERFACE -Werror)
endif()
if(SOTTO_SANITIZE)
  target_compile_options(sotto_options INTERFACE -fsanitize=${SOTTO_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(sotto_options INTERFACE -fsanitize=${SOTTO_SANITIZE})
endif()
if(SOTTO_FUZZ)
  target_compile_options(sotto_options INTERFACE -fsanitize=fuzzer-no-link -fno-sanitize-recover=undefined)
endif()

# Folders of headers, to build in this tree.
set(SOTTO_INCLUDES $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/include>)

# sotto_library(NAME SOURCES... DEPENDS targets...): static library sotto_NAME (alias sotto::NAME) of one folder of src/.
function(sotto_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(sotto_${name} STATIC ${ARG_SOURCES})
  add_library(sotto::${name} ALIAS sotto_${name})
  target_compile_features(sotto_${name} PUBLIC cxx_std_20)
  target_include_directories(sotto_${name} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src> ${SOTTO_INCLUDES})
  target_link_libraries(sotto_${name} PUBLIC ${ARG_DEPENDS} PRIVATE $<BUILD_INTERFACE:sotto_options>)
endfunction()

# sotto_public_library(NAME SOURCES... DEPENDS targets...): a half of the public library, Sotto::NAME. Its users see
# include/ and nothing of src/ or of what it depends on.
function(sotto_public_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(sotto_api_${name} STATIC ${ARG_SOURCES})
  add_library(Sotto::${name} ALIAS sotto_api_${name})
  set_target_properties(sotto_api_${name} PROPERTIES EXPORT_NAME ${name})
  target_compile_features(sotto_api_${name} PUBLIC cxx_std_20)
  target_include_directories(sotto_api_${name} PUBLIC ${SOTTO_INCLUDES} $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(sotto_api_${name} PRIVATE ${ARG_DEPENDS} $<BUILD_INTERFACE:sotto_options>)
endfunction()

# sotto_test(NAME SOURCES... DEPENDS targets... LABELS labels...): one GoogleTest program, one ctest entry per test case.
function(sotto_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;LABELS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE sotto_options GTest::gtest GTest::gmock GTest::gtest_main ${ARG_DEPENDS})
  target_compile_definitions(${name} PRIVATE SOTTO_SOURCE_DIR="${PROJECT_SOURCE_DIR}" SOTTO_BIN_DIR="${CMAKE_RUNTIME_OUTPUT_DIRECTORY}")
  if(NOT ARG_LABELS)
    set(ARG_LABELS fast)
  endif()
  gtest_discover_tests(${name} PROPERTIES LABELS "${ARG_LABELS}" DISCOVERY_TIMEOUT 60)
endfunction()
