//! The messages of ONNX, all with all their fields.
//!
//! Source: `onnx.proto` of ONNX 1.23 (intermediate representation 13), with the fields for machine learning.

use super::protobuf::Kind::{Data, Fixed32, Fixed64, Of, Text, Varint};
use super::protobuf::{Message, many, one};

pub(super) static MODEL: Message = Message {
    name: "model",
    fields: &[
        one(1, Varint),
        one(2, Data),
        one(3, Data),
        one(4, Data),
        one(5, Varint),
        one(6, Data),
        one(7, Of(&GRAPH)),
        many(8, Of(&OPSET)),
        many(14, Of(&ENTRY)),
        many(20, Of(&TRAINING)),
        many(25, Of(&FUNCTION)),
        many(26, Of(&DEVICES)),
    ],
};

pub(super) static OPSET: Message = Message {
    name: "operator set",
    fields: &[one(1, Text), one(2, Varint)],
};

static ENTRY: Message = Message {
    name: "entry",
    fields: &[one(1, Data), one(2, Data)],
};

/// An entry that says where data outside of the file is.
pub(super) static EXTERNAL: Message = Message {
    name: "external data entry",
    fields: &[one(1, Text), one(2, Text)],
};

pub(super) static GRAPH: Message = Message {
    name: "graph",
    fields: &[
        many(1, Of(&NODE)),
        one(2, Text),
        many(5, Of(&TENSOR)),
        one(10, Data),
        many(11, Of(&VALUE_INFO)),
        many(12, Of(&VALUE_INFO)),
        many(13, Of(&VALUE_INFO)),
        many(14, Of(&ANNOTATION)),
        many(15, Of(&SPARSE)),
        many(16, Of(&ENTRY)),
    ],
};

pub(super) static NODE: Message = Message {
    name: "node",
    fields: &[
        many(1, Text),
        many(2, Text),
        one(3, Data),
        one(4, Text),
        many(5, Of(&ATTRIBUTE)),
        one(6, Data),
        one(7, Text),
        one(8, Data),
        many(9, Of(&ENTRY)),
        many(10, Of(&NODE_DEVICES)),
    ],
};

pub(super) static ATTRIBUTE: Message = Message {
    name: "attribute",
    fields: &[
        one(1, Text),
        one(2, Fixed32),
        one(3, Varint),
        one(4, Data),
        one(5, Of(&TENSOR)),
        one(6, Of(&GRAPH)),
        many(7, Fixed32),
        many(8, Varint),
        many(9, Data),
        many(10, Of(&TENSOR)),
        many(11, Of(&GRAPH)),
        one(13, Data),
        one(14, Of(&TYPE)),
        many(15, Of(&TYPE)),
        one(20, Varint),
        one(21, Data),
        one(22, Of(&SPARSE)),
        many(23, Of(&SPARSE)),
    ],
};

pub(super) static TENSOR: Message = Message {
    name: "tensor",
    fields: &[
        many(1, Varint),
        one(2, Varint),
        one(3, Of(&SEGMENT)),
        many(4, Fixed32),
        many(5, Varint),
        many(6, Data),
        many(7, Varint),
        one(8, Data),
        one(9, Data),
        many(10, Fixed64),
        many(11, Varint),
        one(12, Data),
        many(13, Of(&EXTERNAL)),
        one(14, Varint),
        many(16, Of(&ENTRY)),
    ],
};

static SEGMENT: Message = Message {
    name: "segment",
    fields: &[one(1, Varint), one(2, Varint)],
};

static SPARSE: Message = Message {
    name: "sparse tensor",
    fields: &[one(1, Of(&TENSOR)), one(2, Of(&TENSOR)), many(3, Varint)],
};

pub(super) static TYPE: Message = Message {
    name: "type",
    fields: &[
        one(1, Of(&TENSOR_TYPE)),
        one(4, Of(&INNER_TYPE)),
        one(5, Of(&MAP_TYPE)),
        one(6, Data),
        one(7, Of(&OPAQUE_TYPE)),
        one(8, Of(&TENSOR_TYPE)),
        one(9, Of(&INNER_TYPE)),
    ],
};

static TENSOR_TYPE: Message = Message {
    name: "tensor type",
    fields: &[one(1, Varint), one(2, Of(&SHAPE))],
};

static INNER_TYPE: Message = Message {
    name: "type of elements",
    fields: &[one(1, Of(&TYPE))],
};

static MAP_TYPE: Message = Message {
    name: "map type",
    fields: &[one(1, Varint), one(2, Of(&TYPE))],
};

static OPAQUE_TYPE: Message = Message {
    name: "opaque type",
    fields: &[one(1, Text), one(2, Text)],
};

static SHAPE: Message = Message {
    name: "shape",
    fields: &[many(1, Of(&DIMENSION))],
};

static DIMENSION: Message = Message {
    name: "dimension",
    fields: &[one(1, Varint), one(2, Data), one(3, Data)],
};

pub(super) static VALUE_INFO: Message = Message {
    name: "value",
    fields: &[
        one(1, Text),
        one(2, Of(&TYPE)),
        one(3, Data),
        many(4, Of(&ENTRY)),
    ],
};

static ANNOTATION: Message = Message {
    name: "annotation",
    fields: &[one(1, Data), many(2, Of(&ENTRY))],
};

static TRAINING: Message = Message {
    name: "training",
    fields: &[
        one(1, Of(&GRAPH)),
        one(2, Of(&GRAPH)),
        many(3, Of(&ENTRY)),
        many(4, Of(&ENTRY)),
    ],
};

pub(super) static FUNCTION: Message = Message {
    name: "function",
    fields: &[
        one(1, Text),
        many(4, Data),
        many(5, Data),
        many(6, Data),
        many(7, Of(&NODE)),
        one(8, Data),
        many(9, Of(&OPSET)),
        one(10, Text),
        many(11, Of(&ATTRIBUTE)),
        many(12, Of(&VALUE_INFO)),
        one(13, Data),
        many(14, Of(&ENTRY)),
    ],
};

static DEVICES: Message = Message {
    name: "device configuration",
    fields: &[one(1, Data), one(2, Varint), many(3, Data)],
};

static NODE_DEVICES: Message = Message {
    name: "device configuration of a node",
    fields: &[one(1, Data), many(2, Of(&SHARDING)), one(3, Varint)],
};

static SHARDING: Message = Message {
    name: "sharding",
    fields: &[
        one(1, Data),
        many(2, Varint),
        many(3, Of(&DEVICE_GROUP)),
        many(4, Of(&SHARDED)),
    ],
};

static DEVICE_GROUP: Message = Message {
    name: "device group",
    fields: &[one(1, Varint), many(2, Varint)],
};

static SHARDED: Message = Message {
    name: "sharded axis",
    fields: &[one(1, Varint), many(2, Of(&SHARDED_SIMPLY))],
};

static SHARDED_SIMPLY: Message = Message {
    name: "shards",
    fields: &[one(1, Varint), one(2, Data), one(3, Varint)],
};

/// A value that a model is given or gives, as a file of its own: a list of tensors.
pub(super) static SEQUENCE: Message = Message {
    name: "sequence",
    fields: &[
        one(1, Text),
        one(2, Varint),
        many(3, Of(&TENSOR)),
        many(4, Of(&SPARSE)),
        many(5, Of(&SEQUENCE)),
        many(6, Of(&MAP)),
        many(7, Of(&OPTIONAL)),
    ],
};

/// The same: one that may be missing.
pub(super) static OPTIONAL: Message = Message {
    name: "optional value",
    fields: &[
        one(1, Text),
        one(2, Varint),
        one(3, Of(&TENSOR)),
        one(4, Of(&SPARSE)),
        one(5, Of(&SEQUENCE)),
        one(6, Of(&MAP)),
        one(7, Of(&OPTIONAL)),
    ],
};

/// The same: keys with their values.
pub(super) static MAP: Message = Message {
    name: "map",
    fields: &[
        one(1, Text),
        one(2, Varint),
        many(3, Varint),
        many(4, Data),
        one(5, Of(&SEQUENCE)),
    ],
};
