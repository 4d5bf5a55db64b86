"""The ONNX operators that are compiled, as they stand in a simplified graph: by a kernel of our own, or by TVM's code.

Kept free of TVM, so that a model is refused before anything heavy is loaded. Each is compared with onnxruntime in
`tests/lower/test_operators.py`.
"""

from __future__ import annotations

SUPPORTED: frozenset[str] = frozenset(
    """
    Abs Add And ArgMax ArgMin Atan AveragePool Cast Ceil Clip Concat Conv ConvTranspose Cos Cosh DepthToSpace Div
    Dropout Einsum Elu Equal Erf Exp Expand Flatten Floor Gather GatherElements GatherND Gelu Gemm GlobalAveragePool
    GlobalMaxPool Greater GreaterOrEqual GridSample HardSigmoid HardSwish Hardmax Identity InstanceNormalization
    IsInf IsNaN LRN LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax LpPool MatMul Max MaxPool Mean Min
    Mish Mod Mul Neg Not Or PRelu Pad Pow Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax
    ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize Round ScatterElements ScatterND
    Selu Sigmoid Sign Sin Sinh Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum Tanh
    ThresholdedRelu Tile Transpose Trilu Unsqueeze Where Xor
    """.split()
)
