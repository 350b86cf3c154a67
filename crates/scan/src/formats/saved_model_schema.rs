//! The messages of TensorFlow's saved models, all with all their fields, and those of Keras beside them.
//!
//! Source: the `.proto` files of `tensorflow/core/{protobuf,framework}` of TensorFlow 2, by whose
//! names the messages go, and `saved_metadata.proto` of Keras 2.

use super::protobuf::Kind::{Data, Fixed32, Fixed64, Of, Text, Varint};
use super::protobuf::{Message, many, one};

pub(super) static SAVED_MODEL: Message = Message {
    name: "SavedModel",
    fields: &[one(1, Varint), many(2, Of(&META_GRAPH_DEF))],
};

pub(super) static FINGERPRINT_DEF: Message = Message {
    name: "FingerprintDef",
    fields: &[
        one(1, Varint),
        one(2, Varint),
        one(3, Varint),
        one(4, Varint),
        one(5, Varint),
        one(6, Of(&VERSION_DEF)),
        one(7, Data),
    ],
};

pub(super) static META_GRAPH_DEF: Message = Message {
    name: "MetaGraphDef",
    fields: &[
        one(1, Of(&META_INFO_DEF)),
        one(2, Of(&GRAPH_DEF)),
        one(3, Of(&SAVER_DEF)),
        many(4, Of(&COLLECTION_DEF_ENTRY)),
        many(5, Of(&SIGNATURE_DEF_ENTRY)),
        many(6, Of(&ASSET_FILE_DEF)),
        one(7, Of(&SAVED_OBJECT_GRAPH)),
    ],
};

pub(super) static VERSION_DEF: Message = Message {
    name: "VersionDef",
    fields: &[one(1, Varint), one(2, Varint), many(3, Varint)],
};

pub(super) static META_INFO_DEF: Message = Message {
    name: "MetaInfoDef",
    fields: &[
        one(1, Data),
        one(2, Of(&OP_LIST)),
        one(3, Of(&ANY)),
        many(4, Data),
        one(5, Data),
        one(6, Data),
        one(7, Varint),
        many(8, Of(&FUNCTION_ALIASES_ENTRY)),
    ],
};

pub(super) static GRAPH_DEF: Message = Message {
    name: "GraphDef",
    fields: &[
        many(1, Of(&NODE_DEF)),
        one(2, Of(&FUNCTION_DEF_LIBRARY)),
        one(3, Varint),
        one(4, Of(&VERSION_DEF)),
        one(5, Of(&GRAPH_DEBUG_INFO)),
    ],
};

static SAVER_DEF: Message = Message {
    name: "SaverDef",
    fields: &[
        one(1, Data),
        one(2, Data),
        one(3, Data),
        one(4, Varint),
        one(5, Varint),
        one(6, Fixed32),
        one(7, Varint),
    ],
};

static COLLECTION_DEF_ENTRY: Message = Message {
    name: "CollectionDefEntry",
    fields: &[one(1, Data), one(2, Of(&COLLECTION_DEF))],
};

static SIGNATURE_DEF_ENTRY: Message = Message {
    name: "SignatureDefEntry",
    fields: &[one(1, Data), one(2, Of(&SIGNATURE_DEF))],
};

pub(super) static ASSET_FILE_DEF: Message = Message {
    name: "AssetFileDef",
    fields: &[one(1, Of(&TENSOR_INFO)), one(2, Text)],
};

static SAVED_OBJECT_GRAPH: Message = Message {
    name: "SavedObjectGraph",
    fields: &[
        many(1, Of(&SAVED_OBJECT)),
        many(2, Of(&SAVED_OBJECT_GRAPH_CONCRETE_FUNCTIONS_ENTRY)),
    ],
};

static OP_LIST: Message = Message {
    name: "OpList",
    fields: &[many(1, Of(&OP_DEF))],
};

static ANY: Message = Message {
    name: "Any",
    fields: &[one(1, Data), one(2, Data)],
};

static FUNCTION_ALIASES_ENTRY: Message = Message {
    name: "FunctionAliasesEntry",
    fields: &[one(1, Data), one(2, Data)],
};

pub(super) static NODE_DEF: Message = Message {
    name: "NodeDef",
    fields: &[
        one(1, Text),
        one(2, Text),
        many(3, Text),
        one(4, Data),
        many(5, Of(&ATTR_ENTRY)),
        one(6, Of(&NODE_DEF_EXPERIMENTAL_DEBUG_INFO)),
        one(7, Of(&FULL_TYPE_DEF)),
    ],
};

static FUNCTION_DEF_LIBRARY: Message = Message {
    name: "FunctionDefLibrary",
    fields: &[
        many(1, Of(&FUNCTION_DEF)),
        many(2, Of(&GRADIENT_DEF)),
        many(3, Of(&REGISTERED_GRADIENT)),
    ],
};

static GRAPH_DEBUG_INFO: Message = Message {
    name: "GraphDebugInfo",
    fields: &[
        many(1, Data),
        many(2, Of(&GRAPH_DEBUG_INFO_TRACES_ENTRY)),
        many(4, Of(&GRAPH_DEBUG_INFO_FRAMES_BY_ID_ENTRY)),
        many(5, Of(&GRAPH_DEBUG_INFO_NAME_TO_TRACE_ID_ENTRY)),
        many(6, Of(&GRAPH_DEBUG_INFO_TRACES_BY_ID_ENTRY)),
    ],
};

static COLLECTION_DEF: Message = Message {
    name: "CollectionDef",
    fields: &[
        one(1, Of(&COLLECTION_DEF_NODE_LIST)),
        one(2, Of(&COLLECTION_DEF_BYTES_LIST)),
        one(3, Of(&COLLECTION_DEF_INT64_LIST)),
        one(4, Of(&COLLECTION_DEF_FLOAT_LIST)),
        one(5, Of(&COLLECTION_DEF_ANY_LIST)),
    ],
};

static SIGNATURE_DEF: Message = Message {
    name: "SignatureDef",
    fields: &[
        many(1, Of(&SIGNATURE_DEF_INPUTS_ENTRY)),
        many(2, Of(&SIGNATURE_DEF_OUTPUTS_ENTRY)),
        one(3, Data),
        many(4, Of(&SIGNATURE_DEF_DEFAULTS_ENTRY)),
    ],
};

static TENSOR_INFO: Message = Message {
    name: "TensorInfo",
    fields: &[
        one(1, Data),
        one(2, Varint),
        one(3, Of(&TENSOR_SHAPE_PROTO)),
        one(4, Of(&TENSOR_INFO_COO_SPARSE)),
        one(5, Of(&TENSOR_INFO_COMPOSITE_TENSOR)),
    ],
};

static SAVED_OBJECT: Message = Message {
    name: "SavedObject",
    fields: &[
        many(1, Of(&TRACKABLE_OBJECT_OBJECT_REFERENCE)),
        many(3, Of(&TRACKABLE_OBJECT_SLOT_VARIABLE_REFERENCE)),
        one(4, Of(&SAVED_USER_OBJECT)),
        one(5, Of(&SAVED_ASSET)),
        one(6, Of(&SAVED_FUNCTION)),
        one(7, Of(&SAVED_VARIABLE)),
        one(8, Of(&SAVED_BARE_CONCRETE_FUNCTION)),
        one(9, Of(&SAVED_CONSTANT)),
        one(10, Of(&SAVED_RESOURCE)),
        many(11, Of(&SAVED_OBJECT_SAVEABLE_OBJECTS_ENTRY)),
        one(12, Of(&CAPTURED_TENSOR)),
        one(13, Data),
        one(14, Of(&ANY)),
        many(15, Of(&TRACKABLE_OBJECT_OBJECT_REFERENCE)),
        one(16, Data),
    ],
};

static SAVED_OBJECT_GRAPH_CONCRETE_FUNCTIONS_ENTRY: Message = Message {
    name: "ConcreteFunctionsEntry",
    fields: &[one(1, Data), one(2, Of(&SAVED_CONCRETE_FUNCTION))],
};

pub(super) static OP_DEF: Message = Message {
    name: "OpDef",
    fields: &[
        one(1, Text),
        many(2, Of(&OP_DEF_ARG_DEF)),
        many(3, Of(&OP_DEF_ARG_DEF)),
        many(4, Of(&OP_DEF_ATTR_DEF)),
        one(5, Data),
        one(6, Data),
        one(8, Of(&OP_DEPRECATION)),
        one(16, Varint),
        one(17, Varint),
        one(18, Varint),
        one(19, Varint),
        many(20, Data),
        one(21, Varint),
    ],
};

pub(super) static ATTR_ENTRY: Message = Message {
    name: "AttrEntry",
    fields: &[one(1, Text), one(2, Of(&ATTR_VALUE))],
};

static NODE_DEF_EXPERIMENTAL_DEBUG_INFO: Message = Message {
    name: "ExperimentalDebugInfo",
    fields: &[many(1, Data), many(2, Data)],
};

static FULL_TYPE_DEF: Message = Message {
    name: "FullTypeDef",
    fields: &[
        one(1, Varint),
        many(2, Of(&FULL_TYPE_DEF)),
        one(3, Data),
        one(4, Varint),
    ],
};

pub(super) static FUNCTION_DEF: Message = Message {
    name: "FunctionDef",
    fields: &[
        one(1, Of(&OP_DEF)),
        many(3, Of(&NODE_DEF)),
        many(4, Of(&FUNCTION_DEF_RET_ENTRY)),
        many(5, Of(&ATTR_ENTRY)),
        many(6, Of(&FUNCTION_DEF_CONTROL_RET_ENTRY)),
        many(7, Of(&FUNCTION_DEF_ARG_ATTR_ENTRY)),
        many(8, Of(&FUNCTION_DEF_RESOURCE_ARG_UNIQUE_ID_ENTRY)),
    ],
};

static GRADIENT_DEF: Message = Message {
    name: "GradientDef",
    fields: &[one(1, Data), one(2, Data)],
};

static REGISTERED_GRADIENT: Message = Message {
    name: "RegisteredGradient",
    fields: &[one(1, Data), one(2, Data)],
};

static GRAPH_DEBUG_INFO_TRACES_ENTRY: Message = Message {
    name: "TracesEntry",
    fields: &[one(1, Data), one(2, Of(&GRAPH_DEBUG_INFO_STACK_TRACE))],
};

static GRAPH_DEBUG_INFO_FRAMES_BY_ID_ENTRY: Message = Message {
    name: "FramesByIdEntry",
    fields: &[one(1, Fixed64), one(2, Of(&GRAPH_DEBUG_INFO_FILE_LINE_COL))],
};

static GRAPH_DEBUG_INFO_NAME_TO_TRACE_ID_ENTRY: Message = Message {
    name: "NameToTraceIdEntry",
    fields: &[one(1, Data), one(2, Fixed64)],
};

static GRAPH_DEBUG_INFO_TRACES_BY_ID_ENTRY: Message = Message {
    name: "TracesByIdEntry",
    fields: &[one(1, Fixed64), one(2, Of(&GRAPH_DEBUG_INFO_STACK_TRACE))],
};

static COLLECTION_DEF_NODE_LIST: Message = Message {
    name: "NodeList",
    fields: &[many(1, Data)],
};

static COLLECTION_DEF_BYTES_LIST: Message = Message {
    name: "BytesList",
    fields: &[many(1, Data)],
};

static COLLECTION_DEF_INT64_LIST: Message = Message {
    name: "Int64List",
    fields: &[many(1, Varint)],
};

static COLLECTION_DEF_FLOAT_LIST: Message = Message {
    name: "FloatList",
    fields: &[many(1, Fixed32)],
};

static COLLECTION_DEF_ANY_LIST: Message = Message {
    name: "AnyList",
    fields: &[many(1, Of(&ANY))],
};

static SIGNATURE_DEF_INPUTS_ENTRY: Message = Message {
    name: "InputsEntry",
    fields: &[one(1, Data), one(2, Of(&TENSOR_INFO))],
};

static SIGNATURE_DEF_OUTPUTS_ENTRY: Message = Message {
    name: "OutputsEntry",
    fields: &[one(1, Data), one(2, Of(&TENSOR_INFO))],
};

static SIGNATURE_DEF_DEFAULTS_ENTRY: Message = Message {
    name: "DefaultsEntry",
    fields: &[one(1, Data), one(2, Of(&TENSOR_PROTO))],
};

pub(super) static TENSOR_SHAPE_PROTO: Message = Message {
    name: "TensorShapeProto",
    fields: &[many(2, Of(&TENSOR_SHAPE_PROTO_DIM)), one(3, Varint)],
};

static TENSOR_INFO_COO_SPARSE: Message = Message {
    name: "CooSparse",
    fields: &[one(1, Data), one(2, Data), one(3, Data)],
};

static TENSOR_INFO_COMPOSITE_TENSOR: Message = Message {
    name: "CompositeTensor",
    fields: &[one(1, Of(&TYPE_SPEC_PROTO)), many(2, Of(&TENSOR_INFO))],
};

static TRACKABLE_OBJECT_OBJECT_REFERENCE: Message = Message {
    name: "ObjectReference",
    fields: &[one(1, Varint), one(2, Data)],
};

static TRACKABLE_OBJECT_SLOT_VARIABLE_REFERENCE: Message = Message {
    name: "SlotVariableReference",
    fields: &[one(1, Varint), one(2, Data), one(3, Varint)],
};

pub(super) static SAVED_USER_OBJECT: Message = Message {
    name: "SavedUserObject",
    fields: &[one(1, Text), one(2, Of(&VERSION_DEF)), one(3, Text)],
};

static SAVED_ASSET: Message = Message {
    name: "SavedAsset",
    fields: &[one(1, Varint)],
};

static SAVED_FUNCTION: Message = Message {
    name: "SavedFunction",
    fields: &[many(1, Data), one(2, Of(&FUNCTION_SPEC))],
};

static SAVED_VARIABLE: Message = Message {
    name: "SavedVariable",
    fields: &[
        one(1, Varint),
        one(2, Of(&TENSOR_SHAPE_PROTO)),
        one(3, Varint),
        one(4, Varint),
        one(5, Varint),
        one(6, Data),
        one(7, Data),
        many(8, Of(&SAVED_VARIABLE)),
    ],
};

static SAVED_BARE_CONCRETE_FUNCTION: Message = Message {
    name: "SavedBareConcreteFunction",
    fields: &[
        one(1, Data),
        many(2, Data),
        one(3, Varint),
        one(4, Of(&FUNCTION_SPEC)),
    ],
};

static SAVED_CONSTANT: Message = Message {
    name: "SavedConstant",
    fields: &[one(1, Data)],
};

static SAVED_RESOURCE: Message = Message {
    name: "SavedResource",
    fields: &[one(1, Data)],
};

static SAVED_OBJECT_SAVEABLE_OBJECTS_ENTRY: Message = Message {
    name: "SaveableObjectsEntry",
    fields: &[one(1, Data), one(2, Of(&SAVEABLE_OBJECT))],
};

static CAPTURED_TENSOR: Message = Message {
    name: "CapturedTensor",
    fields: &[one(1, Data), one(2, Data)],
};

static SAVED_CONCRETE_FUNCTION: Message = Message {
    name: "SavedConcreteFunction",
    fields: &[
        many(2, Varint),
        one(3, Of(&STRUCTURED_VALUE)),
        one(4, Of(&STRUCTURED_VALUE)),
    ],
};

static OP_DEF_ARG_DEF: Message = Message {
    name: "ArgDef",
    fields: &[
        one(1, Data),
        one(2, Data),
        one(3, Varint),
        one(4, Data),
        one(5, Data),
        one(6, Data),
        many(7, Of(&RESOURCE_HANDLE_PROTO_DTYPE_AND_SHAPE)),
        one(16, Varint),
        one(17, Of(&FULL_TYPE_DEF)),
    ],
};

static OP_DEF_ATTR_DEF: Message = Message {
    name: "AttrDef",
    fields: &[
        one(1, Data),
        one(2, Data),
        one(3, Of(&ATTR_VALUE)),
        one(4, Data),
        one(5, Varint),
        one(6, Varint),
        one(7, Of(&ATTR_VALUE)),
    ],
};

static OP_DEPRECATION: Message = Message {
    name: "OpDeprecation",
    fields: &[one(1, Varint), one(2, Data)],
};

pub(super) static ATTR_VALUE: Message = Message {
    name: "AttrValue",
    fields: &[
        one(1, Of(&ATTR_VALUE_LIST_VALUE)),
        one(2, Text),
        one(3, Varint),
        one(4, Fixed32),
        one(5, Varint),
        one(6, Varint),
        one(7, Of(&TENSOR_SHAPE_PROTO)),
        one(8, Of(&TENSOR_PROTO)),
        one(9, Data),
        one(10, Of(&NAME_ATTR_LIST)),
    ],
};

static FUNCTION_DEF_RET_ENTRY: Message = Message {
    name: "RetEntry",
    fields: &[one(1, Data), one(2, Data)],
};

static FUNCTION_DEF_CONTROL_RET_ENTRY: Message = Message {
    name: "ControlRetEntry",
    fields: &[one(1, Data), one(2, Data)],
};

static FUNCTION_DEF_ARG_ATTR_ENTRY: Message = Message {
    name: "ArgAttrEntry",
    fields: &[one(1, Varint), one(2, Of(&FUNCTION_DEF_ARG_ATTRS))],
};

static FUNCTION_DEF_RESOURCE_ARG_UNIQUE_ID_ENTRY: Message = Message {
    name: "ResourceArgUniqueIdEntry",
    fields: &[one(1, Varint), one(2, Varint)],
};

static GRAPH_DEBUG_INFO_STACK_TRACE: Message = Message {
    name: "StackTrace",
    fields: &[
        many(1, Of(&GRAPH_DEBUG_INFO_FILE_LINE_COL)),
        many(2, Fixed64),
    ],
};

static GRAPH_DEBUG_INFO_FILE_LINE_COL: Message = Message {
    name: "FileLineCol",
    fields: &[
        one(1, Varint),
        one(2, Varint),
        one(3, Varint),
        one(4, Data),
        one(5, Data),
    ],
};

pub(super) static TENSOR_PROTO: Message = Message {
    name: "TensorProto",
    fields: &[
        one(1, Varint),
        one(2, Of(&TENSOR_SHAPE_PROTO)),
        one(3, Varint),
        one(4, Data),
        many(5, Fixed32),
        many(6, Fixed64),
        many(7, Varint),
        many(8, Data),
        many(9, Fixed32),
        many(10, Varint),
        many(11, Varint),
        many(12, Fixed64),
        many(13, Varint),
        many(14, Of(&RESOURCE_HANDLE_PROTO)),
        many(15, Of(&VARIANT_TENSOR_DATA_PROTO)),
        many(16, Varint),
        many(17, Varint),
        one(18, Data),
    ],
};

static TENSOR_SHAPE_PROTO_DIM: Message = Message {
    name: "Dim",
    fields: &[one(1, Varint), one(2, Data)],
};

static TYPE_SPEC_PROTO: Message = Message {
    name: "TypeSpecProto",
    fields: &[
        one(1, Varint),
        one(2, Of(&STRUCTURED_VALUE)),
        one(3, Data),
        one(4, Varint),
    ],
};

static FUNCTION_SPEC: Message = Message {
    name: "FunctionSpec",
    fields: &[
        one(1, Of(&STRUCTURED_VALUE)),
        one(2, Varint),
        one(5, Of(&STRUCTURED_VALUE)),
        one(6, Varint),
    ],
};

static SAVEABLE_OBJECT: Message = Message {
    name: "SaveableObject",
    fields: &[one(2, Varint), one(3, Varint)],
};

static STRUCTURED_VALUE: Message = Message {
    name: "StructuredValue",
    fields: &[
        one(1, Of(&NONE_VALUE)),
        one(11, Fixed64),
        one(12, Varint),
        one(13, Data),
        one(14, Varint),
        one(31, Of(&TENSOR_SHAPE_PROTO)),
        one(32, Varint),
        one(33, Of(&TENSOR_SPEC_PROTO)),
        one(34, Of(&TYPE_SPEC_PROTO)),
        one(35, Of(&BOUNDED_TENSOR_SPEC_PROTO)),
        one(51, Of(&LIST_VALUE)),
        one(52, Of(&TUPLE_VALUE)),
        one(53, Of(&DICT_VALUE)),
        one(54, Of(&NAMED_TUPLE_VALUE)),
        one(55, Of(&TENSOR_PROTO)),
        one(56, Of(&TENSOR_PROTO)),
    ],
};

static RESOURCE_HANDLE_PROTO_DTYPE_AND_SHAPE: Message = Message {
    name: "DtypeAndShape",
    fields: &[one(1, Varint), one(2, Of(&TENSOR_SHAPE_PROTO))],
};

static ATTR_VALUE_LIST_VALUE: Message = Message {
    name: "ListValue",
    fields: &[
        many(2, Data),
        many(3, Varint),
        many(4, Fixed32),
        many(5, Varint),
        many(6, Varint),
        many(7, Of(&TENSOR_SHAPE_PROTO)),
        many(8, Of(&TENSOR_PROTO)),
        many(9, Of(&NAME_ATTR_LIST)),
    ],
};

pub(super) static NAME_ATTR_LIST: Message = Message {
    name: "NameAttrList",
    fields: &[one(1, Text), many(2, Of(&ATTR_ENTRY))],
};

static FUNCTION_DEF_ARG_ATTRS: Message = Message {
    name: "ArgAttrs",
    fields: &[many(1, Of(&ATTR_ENTRY))],
};

static RESOURCE_HANDLE_PROTO: Message = Message {
    name: "ResourceHandleProto",
    fields: &[
        one(1, Data),
        one(2, Data),
        one(3, Data),
        one(4, Varint),
        one(5, Data),
        many(6, Of(&RESOURCE_HANDLE_PROTO_DTYPE_AND_SHAPE)),
    ],
};

static VARIANT_TENSOR_DATA_PROTO: Message = Message {
    name: "VariantTensorDataProto",
    fields: &[one(1, Data), one(2, Data), many(3, Of(&TENSOR_PROTO))],
};

static NONE_VALUE: Message = Message {
    name: "NoneValue",
    fields: &[],
};

static TENSOR_SPEC_PROTO: Message = Message {
    name: "TensorSpecProto",
    fields: &[
        one(1, Data),
        one(2, Of(&TENSOR_SHAPE_PROTO)),
        one(3, Varint),
    ],
};

static BOUNDED_TENSOR_SPEC_PROTO: Message = Message {
    name: "BoundedTensorSpecProto",
    fields: &[
        one(1, Data),
        one(2, Of(&TENSOR_SHAPE_PROTO)),
        one(3, Varint),
        one(4, Of(&TENSOR_PROTO)),
        one(5, Of(&TENSOR_PROTO)),
    ],
};

static LIST_VALUE: Message = Message {
    name: "ListValue",
    fields: &[many(1, Of(&STRUCTURED_VALUE))],
};

static TUPLE_VALUE: Message = Message {
    name: "TupleValue",
    fields: &[many(1, Of(&STRUCTURED_VALUE))],
};

static DICT_VALUE: Message = Message {
    name: "DictValue",
    fields: &[many(1, Of(&DICT_VALUE_FIELDS_ENTRY))],
};

static NAMED_TUPLE_VALUE: Message = Message {
    name: "NamedTupleValue",
    fields: &[one(1, Data), many(2, Of(&PAIR_VALUE))],
};

static DICT_VALUE_FIELDS_ENTRY: Message = Message {
    name: "FieldsEntry",
    fields: &[one(1, Data), one(2, Of(&STRUCTURED_VALUE))],
};

static PAIR_VALUE: Message = Message {
    name: "PairValue",
    fields: &[one(1, Data), one(2, Of(&STRUCTURED_VALUE))],
};

/// What Keras keeps of its layers beside a model.
pub(super) static KERAS_METADATA: Message = Message {
    name: "SavedMetadata",
    fields: &[many(1, Of(&KERAS_NODE))],
};
pub(super) static KERAS_NODE: Message = Message {
    name: "SavedObject",
    fields: &[
        one(2, Varint),
        one(3, Data),
        one(4, Text),
        one(5, Text),
        one(6, Of(&VERSION_DEF)),
    ],
};
