#!/bin/sh
# Makes the two example models: of MNIST from its training images, of terrain from a trained decoder and
# the codes of its training images, as README.md beside this file describes them.
#
#     sh examples/models/make.sh train-images-idx3-ubyte.gz TRAINED_NETWORKS [BRENIER]
#
# The same networks give the same points, heights and mass centres, bit for bit; the same machine and PyTorch
# give the same networks.
set -eu
digits=$1
networks=$2
brenier=${3:-brenier}
models=$(dirname "$0")
trained=$(mktemp -d)
trap 'rm -r "$trained"' EXIT

# All 60,000 codes are in this model, and 9,000 in the example: any map of them will do.
"$brenier" train "$digits" --latent 64 --base 24 --seed 0 --threads 1 --tol 0.5 --weights f16 \
	--out "$trained/mnist.safetensors"
"$brenier" fit "$trained/mnist.safetensors:ot.points" --count 9000 --tol 1e-3 --seed 1 \
	--decoder "$trained/mnist.safetensors" --points-dtype f16 --out "$models/mnist.safetensors"

"$brenier" import "$networks/terrain_decoder.safetensors" --layers "$models/terrain.layers" --prefix decoder. \
	--points "$networks/terrain_latents_fp16.safetensors" --count 7000 --fit --tol 1e-3 --seed 1 \
	--images 131072 --points-dtype f16 --weights f16 --out "$models/terrain.safetensors"
