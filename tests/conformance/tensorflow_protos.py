"""TensorFlow Serving's own message classes and stubs, from its own package and without TensorFlow.

`tensorflow-serving-api` is generated against the TensorFlow that it asks for; `tensorflow-protobuf` brings the same
messages (TensorProto, SignatureDef) as one small package. Between the two one file is missing, the enum of error codes,
whose place moved from release to release. It is made here: its names and numbers are gRPC's status codes. So what is
sent and read in the tests are the numbers of TensorFlow Serving's fields, not those of our own .proto files.
"""

from __future__ import annotations

import sys
from types import ModuleType

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool

ERROR_CODES = "tensorflow.core.protobuf.error_codes_pb2"


def provide_error_codes() -> None:
    file = descriptor_pb2.FileDescriptorProto(
        name="tensorflow/core/protobuf/error_codes.proto", package="tensorflow.error", syntax="proto3"
    )
    codes = file.enum_type.add(name="Code")
    for status in grpc.StatusCode:
        codes.value.add(name=status.name, number=status.value[0])
    descriptor_pool.Default().AddSerializedFile(file.SerializeToString())
    module = ModuleType(ERROR_CODES)
    # The generated code looks here for the file's present place.
    module.xla_dot_tsl_dot_protobuf_dot_error__codes__pb2 = module
    sys.modules[ERROR_CODES] = module


provide_error_codes()

from tensorflow.core.framework import types_pb2  # noqa: E402
from tensorflow.core.framework.tensor_pb2 import TensorProto  # noqa: E402
from tensorflow.core.framework.tensor_shape_pb2 import TensorShapeProto  # noqa: E402
from tensorflow_serving.apis import model_service_pb2, prediction_service_pb2  # noqa: E402
from tensorflow_serving.apis.classification_pb2 import ClassificationRequest  # noqa: E402
from tensorflow_serving.apis.get_model_metadata_pb2 import GetModelMetadataRequest, SignatureDefMap  # noqa: E402
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusRequest, ModelVersionStatus  # noqa: E402
from tensorflow_serving.apis.inference_pb2 import MultiInferenceRequest  # noqa: E402
from tensorflow_serving.apis.model_management_pb2 import ReloadConfigRequest  # noqa: E402
from tensorflow_serving.apis.model_service_pb2_grpc import ModelServiceStub  # noqa: E402
from tensorflow_serving.apis.predict_pb2 import PredictRequest  # noqa: E402
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub  # noqa: E402
from tensorflow_serving.apis.regression_pb2 import RegressionRequest  # noqa: E402

__all__ = [
    *("model_service_pb2", "prediction_service_pb2"),
    *("types_pb2", "TensorProto", "TensorShapeProto", "PredictionServiceStub", "ModelServiceStub", "PredictRequest"),
    *("ClassificationRequest", "RegressionRequest", "MultiInferenceRequest", "GetModelMetadataRequest"),
    *("SignatureDefMap", "GetModelStatusRequest", "ModelVersionStatus", "ReloadConfigRequest"),
]
