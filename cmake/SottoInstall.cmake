# What `cmake --install` gives: programs, headers, the parts of the library with what they are made of, and files for
# find_package(Sotto) and pkg-config.
include(CMakePackageConfigHelpers)

# By part, highest first, as a linker wants static libraries.
set(shared spec plan program packing circuit bootstrap ckks ring wire signing simd base)
set(client_libraries client training_plan inputs images secret encrypt lowering compiler training graph ${shared})
set(encryptor_libraries inputs encrypt ${shared})
set(server_libraries engine encrypt training_plan runtime lowering compiler training graph ${shared})
set(all ${client_libraries} ${encryptor_libraries} ${server_libraries})
list(REMOVE_DUPLICATES all)
list(TRANSFORM all PREPEND sotto_)

install(TARGETS sotto_api_client sotto_api_encryptor sotto_api_server ${all} EXPORT SottoTargets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT SottoTargets NAMESPACE Sotto:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Sotto)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/sotto ${PROJECT_BINARY_DIR}/include/sotto
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/SottoConfig.cmake.in ${PROJECT_BINARY_DIR}/SottoConfig.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Sotto)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/SottoConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/SottoConfig.cmake ${PROJECT_BINARY_DIR}/SottoConfigVersion.cmake
    ${PROJECT_SOURCE_DIR}/cmake/FindOnnxProto.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Sotto)

# tomlplusplus is no requirement but a library: its flags (TOML_SHARED_LIB) are about its headers, which no user sees.
set(client_requires "zlib protobuf")
set(client_private "-lonnx_proto -ltomlplusplus")
set(encryptor_requires "")
set(server_requires "protobuf")
set(server_private "-lonnx_proto -ltomlplusplus")
file(RELATIVE_PATH PC_UP /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)  # wherever it is installed
foreach(half client encryptor server)
  list(JOIN ${half}_libraries " -lsotto_" libraries)
  set(PC_HALF ${half})
  set(PC_LIBS "-lsotto_api_${half} -lsotto_${libraries} ${${half}_private}")
  set(PC_REQUIRES "libsodium fmt tbb ${${half}_requires}")
  configure_file(${PROJECT_SOURCE_DIR}/cmake/sotto.pc.in ${PROJECT_BINARY_DIR}/sotto-${half}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/sotto-${half}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()
