# The classes that protobuf makes of ONNX (Debian: libonnx-dev): OnnxProto::onnx_proto.
find_library(ONNX_PROTO_LIBRARY onnx_proto)
find_path(ONNX_PROTO_INCLUDE_DIR onnx/onnx_pb.h)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(OnnxProto REQUIRED_VARS ONNX_PROTO_LIBRARY ONNX_PROTO_INCLUDE_DIR)
mark_as_advanced(ONNX_PROTO_LIBRARY ONNX_PROTO_INCLUDE_DIR)
if(OnnxProto_FOUND AND NOT TARGET OnnxProto::onnx_proto)
  find_package(Protobuf REQUIRED)
  add_library(OnnxProto::onnx_proto UNKNOWN IMPORTED)
  set_target_properties(OnnxProto::onnx_proto PROPERTIES
    IMPORTED_LOCATION "${ONNX_PROTO_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${ONNX_PROTO_INCLUDE_DIR}"
    INTERFACE_COMPILE_DEFINITIONS "ONNX_ML=1;ONNX_NAMESPACE=onnx"
    INTERFACE_LINK_LIBRARIES protobuf::libprotobuf)
endif()
