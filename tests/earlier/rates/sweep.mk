# The sweep rates, written by gen/sweep.lua: what is left to build and to train.
# jobs: 1
SHELL := /bin/sh
MAKEFLAGS += --no-builtin-rules
.SUFFIXES:

.PHONY: all try-1 build-1 run-1 run-2 run-3
all: try-1 build-1 run-1 run-2 run-3
	@:

try-1:
	@exec setpriv --pdeathsig TERM gen/sweep/build.sh 'out/sweeps/rates/builds/harbour' 'tests/earlier/harbour.lua' '' 'cpu'

build-1: try-1
	@test -e 'out/sweeps/rates/builds/harbour.ok'

run-1: build-1
	@exec setpriv --pdeathsig TERM gen/sweep/step.sh 'out/sweeps/rates' 'exp01-lr0.003' 'build/harbour/cpu' '-' '2' '--dropout=0.1' '--dataset=harbour' '--data_dir=tests/earlier/data' '--max_iters=60' '--gradient_accumulation_steps=20' '--learning_rate=0.003' '--decay_lr=true' '--warmup_iters=5' '--lr_decay_iters=60' '--min_lr=0.001' '--weight_decay=0.1' '--beta1=0.9' '--beta2=0.95' '--eps=1e-08' '--grad_clip=1' '--seed=1337' '--eval_interval=20' '--eval_iters=2' '--always_save_checkpoint=false' '--checkpoint_interval=0' '--log_interval=1' '--sample_interval=0' '--tensorboard=false' '--csv=false' '--report=false' '--verify=false'

run-2: build-1
	@exec setpriv --pdeathsig TERM gen/sweep/step.sh 'out/sweeps/rates' 'exp02-lr0.01' 'build/harbour/cpu' '-' '2' '--dropout=0.1' '--dataset=harbour' '--data_dir=tests/earlier/data' '--max_iters=60' '--gradient_accumulation_steps=20' '--learning_rate=0.01' '--decay_lr=true' '--warmup_iters=5' '--lr_decay_iters=60' '--min_lr=0.001' '--weight_decay=0.1' '--beta1=0.9' '--beta2=0.95' '--eps=1e-08' '--grad_clip=1' '--seed=1337' '--eval_interval=20' '--eval_iters=2' '--always_save_checkpoint=false' '--checkpoint_interval=0' '--log_interval=1' '--sample_interval=0' '--tensorboard=false' '--csv=false' '--report=false' '--verify=false'

run-3: build-1
	@exec setpriv --pdeathsig TERM gen/sweep/step.sh 'out/sweeps/rates' 'exp03-lr0.03' 'build/harbour/cpu' '-' '2' '--dropout=0.1' '--dataset=harbour' '--data_dir=tests/earlier/data' '--max_iters=60' '--gradient_accumulation_steps=20' '--learning_rate=0.03' '--decay_lr=true' '--warmup_iters=5' '--lr_decay_iters=60' '--min_lr=0.001' '--weight_decay=0.1' '--beta1=0.9' '--beta2=0.95' '--eps=1e-08' '--grad_clip=1' '--seed=1337' '--eval_interval=20' '--eval_iters=2' '--always_save_checkpoint=false' '--checkpoint_interval=0' '--log_interval=1' '--sample_interval=0' '--tensorboard=false' '--csv=false' '--report=false' '--verify=false'
