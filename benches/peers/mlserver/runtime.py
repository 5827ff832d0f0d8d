"""Runs inside MLServer's workers, on the batch that MLServer made."""
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse
from serving import Model, given_job


class Infer(MLModel):
    async def load(self) -> bool:
        self.model = Model(given_job().file)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        y = self.model.run(NumpyCodec.decode_input(payload.inputs[0]))
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output(self.model.output.name, y)])
