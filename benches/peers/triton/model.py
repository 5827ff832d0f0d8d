"""Runs inside Triton's Python backend: one call of ONNX Runtime for the batch that Triton made."""
import triton_python_backend_utils as triton
from serving import Model, given_job


class TritonPythonModel:
    def initialize(self, _arguments):
        self.model = Model(given_job().file)

    def execute(self, requests):
        name = self.model.input.name
        inputs = [triton.get_input_tensor_by_name(request, name).as_numpy() for request in requests]
        outputs = self.model.run_together(inputs)
        return [triton.InferenceResponse([triton.Tensor(self.model.output.name, y)]) for y in outputs]
