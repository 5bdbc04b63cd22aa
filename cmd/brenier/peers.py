"""Times what brenier bench times by other programs, those that this Python has.

argv[1] is a JSON list of cases; prints a JSON list of {peer: best seconds}, one for each.
"""

import importlib
import json
import os
import sys
import time

THREADS = int(os.environ["OMP_NUM_THREADS"])


def optional(name):
    try:
        return importlib.import_module(name)
    except ImportError:
        print(f"{name} is not installed in this Python and was left out", file=sys.stderr)
        return None


np = importlib.import_module("numpy")
faiss = optional("faiss")
onnx = optional("onnx")
onnxruntime = optional("onnxruntime")
torch = optional("torch")
safetensors = optional("safetensors.numpy")


def best(do):
    """Best seconds of at least 3 runs and 0.6 s, after one that does not count."""
    do()
    runs, start = [], time.perf_counter()
    while len(runs) < 3 or (time.perf_counter() - start < 0.6 and len(runs) < 1000):
        before = time.perf_counter()
        do()
        runs.append(time.perf_counter() - before)
    return min(runs)


# ---- locate ---------------------------------------------------------------------------------------

MAPS = {}


def random_map(n, d):
    """N(0,I) points [n,d] and Voronoi heights [n]; only the latest is kept."""
    if (n, d) not in MAPS:
        MAPS.clear()
        points = np.random.default_rng(1).standard_normal((n, d), dtype=np.float32)
        MAPS[n, d] = points, -0.5 * (points * points).sum(1)
    return MAPS[n, d]


def time_locate(case):
    n, d, batch, k = case["points"], case["dim"], case["batch"], case["k"]
    points, heights = random_map(n, d)
    x = np.random.default_rng(2).standard_normal((batch, d), dtype=np.float32)
    times = {}
    if faiss:
        faiss.omp_set_num_threads(THREADS)
        index = faiss.IndexFlatIP(d + 1)  # the heights are one more dimension
        index.add(np.hstack([points, heights[:, None]]))
        query = np.hstack([x, np.ones((batch, 1), np.float32)])
        times["faiss IndexFlatIP"] = best(lambda: index.search(query, k))
    if k == 1:
        transposed = points.T

        def sgemm_argmax(scores):  # [chunk,n], used again: new memory costs more than the product
            for at in range(0, batch, len(scores)):
                part = scores[: min(len(scores), batch - at)]
                np.matmul(x[at : at + len(scores)], transposed, out=part)
                part += heights
                part.argmax(1)

        # Fewer rows keep the scores in a cache, more make a better product; the better one counts.
        chunks = {min(batch, chunk) for chunk in (64, 1024)}
        times["numpy sgemm+argmax"] = min(
            best(lambda scores=np.empty((chunk, n), np.float32): sgemm_argmax(scores)) for chunk in chunks
        )
    return times


# ---- decode ---------------------------------------------------------------------------------------


def read_model(path):
    """The decoder's graph and its weights as float32."""
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        graph = json.loads(json.loads(file.read(size))["__metadata__"]["graph"])
    weights = safetensors.load_file(path)
    return graph, {name: v.astype(np.float32) for name, v in weights.items() if name.startswith("decoder.")}


def onnx_node(node, tensors):
    """ONNX nodes of a node of the model, which has ONNX's names and attributes already."""
    attributes, inputs, op = dict(node.get("attributes") or {}), list(node["inputs"]), node["op"]
    if op == "Silu":
        gate = node["output"] + ".gate"
        return [
            onnx.helper.make_node("Sigmoid", inputs, [gate]),
            onnx.helper.make_node("Mul", [inputs[0], gate], [node["output"]]),
        ]
    if op == "Reshape":
        name = node["output"] + ".shape"
        tensors[name] = np.array(attributes.pop("shape"), np.int64)
        inputs.append(name)
    elif op == "Resize":
        name = node["output"] + ".scales"
        tensors[name] = np.array([1, 1, *attributes.pop("scales")], np.float32)
        inputs += ["", name]
        attributes = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    elif op == "Clip":
        for end in ("min", "max"):
            value = attributes.pop(end, None)
            inputs.append("" if value is None else f"{node['output']}.{end}")
            if value is not None:
                tensors[inputs[-1]] = np.array(value, np.float32)
    return [onnx.helper.make_node(op, inputs, [node["output"]], **attributes)]


def onnx_decoder(graph, weights):
    helper, tensors, nodes = onnx.helper, dict(weights), []
    for node in graph["nodes"]:
        nodes += onnx_node(node, tensors)
    code = helper.make_tensor_value_info(graph["input"]["name"], onnx.TensorProto.FLOAT, ["n", *graph["input"]["shape"]])
    image = helper.make_tensor_value_info(graph["output"], onnx.TensorProto.FLOAT, None)
    constants = [onnx.numpy_helper.from_array(v, name) for name, v in tensors.items()]
    made = helper.make_graph(nodes, "decoder", [code], [image], constants)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda z: session.run(None, {graph["input"]["name"]: z})


def torch_decoder(graph, weights):
    """The graph by torch.nn.functional, operator by operator."""
    F = torch.nn.functional
    torch.set_num_threads(THREADS)
    weights = {name: torch.from_numpy(v) for name, v in weights.items()}

    def pads(a):
        top, left, bottom, right = a.get("pads") or [0, 0, 0, 0]
        if (top, left) != (bottom, right):
            raise NotImplementedError("unequal pads")
        return [top, left]

    def conv(function, more):
        def run(a, x, w, b=None):
            strides, dilations = a.get("strides") or [1, 1], a.get("dilations") or [1, 1]
            extra = {"output_padding": a.get("output_padding") or [0, 0]} if more else {}
            return function(x, w, b, stride=strides, padding=pads(a), dilation=dilations, groups=a.get("group", 1), **extra)

        return run

    def gemm(a, x, w, b=None):
        y = a.get("alpha", 1) * (x @ (w.T if a.get("transB") else w))
        return y if b is None else y + a.get("beta", 1) * b

    run = {
        "Gemm": gemm,
        "Conv": conv(F.conv2d, False),
        "ConvTranspose": conv(F.conv_transpose2d, True),
        "BatchNormalization": lambda a, x, s, b, m, v: F.batch_norm(x, m, v, s, b, eps=a.get("epsilon", 1e-5)),
        "GroupNormalization": lambda a, x, s, b: F.group_norm(x, a["num_groups"], s, b, eps=a.get("epsilon", 1e-5)),
        "Relu": lambda a, x: F.relu(x),
        "LeakyRelu": lambda a, x: F.leaky_relu(x, a.get("alpha", 0.01)),
        "Silu": lambda a, x: F.silu(x),
        "Tanh": lambda a, x: torch.tanh(x),
        "Sigmoid": lambda a, x: torch.sigmoid(x),
        "Clip": lambda a, x: torch.clamp(x, a.get("min"), a.get("max")),
        "Add": lambda a, x, y: x + y,
        "Mul": lambda a, x, y: x * y,
        "Concat": lambda a, *x: torch.cat(x, a.get("axis", 1)),
        "Resize": lambda a, x: F.interpolate(x, scale_factor=tuple(a["scales"]), mode="nearest"),
        "Reshape": lambda a, x: x.reshape([x.shape[i] if e == 0 else e for i, e in enumerate(a["shape"])]),
        "Flatten": lambda a, x: x.flatten(1),
        "Transpose": lambda a, x: x.permute(a["perm"]),
    }

    def decode(z):
        values = {graph["input"]["name"]: torch.from_numpy(z)}
        with torch.inference_mode():
            for node in graph["nodes"]:
                inputs = [values[i] if i in values else weights[i] for i in node["inputs"]]
                values[node["output"]] = run[node["op"]](node.get("attributes") or {}, *inputs)
        return values[graph["output"]]

    return decode


DECODERS = {}


def time_decode(case):
    if not safetensors:
        return {}
    path = case["model"]
    if path not in DECODERS:
        graph, weights = read_model(path)
        DECODERS[path] = {}
        if onnx and onnxruntime:
            DECODERS[path]["onnxruntime"] = onnx_decoder(graph, weights)
        if torch:
            DECODERS[path]["torch"] = torch_decoder(graph, weights)
    z = np.random.default_rng(2).standard_normal((case["batch"], case["dim"]), dtype=np.float32)
    return {name: best(lambda: decode(z)) for name, decode in DECODERS[path].items()}


print(json.dumps([time_locate(c) if c["kind"] == "locate" else time_decode(c) for c in json.loads(sys.argv[1])]))
