#!/bin/sh
# Makes the two example models from trained networks: PyTorch state dicts and the codes of their
# training images, as README.md beside this file describes them.
#
#     sh examples/models/make.sh TRAINED_NETWORKS [BRENIER]
#
# The same networks give the same points, heights and mass centres, bit for bit.
set -eu
networks=$1
brenier=${2:-brenier}
cd "$(dirname "$0")"

make_model() { # name, state dict, codes, points to keep, images to take the mean and the deviation of
	"$brenier" import "$networks/$2" --layers "$1.layers" --prefix decoder. \
		--points "$networks/$3" --count "$4" --fit --tol 1e-3 --seed 1 \
		--images "$5" --points-dtype f16 --weights f16 --out "$1.safetensors"
}

make_model mnist mnist_ae.safetensors mnist_latents.safetensors 9000 2048
make_model terrain terrain_decoder.safetensors terrain_latents_fp16.safetensors 7000 131072
