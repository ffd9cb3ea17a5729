-- scenes: small runs of our programs, to be killed or cut off from power at any moment.
--
-- A scene is a table:
--     name
--     fill      shell text that makes what lies in $box before, or nil
--     command   the command that is broken off, and typed again then; it writes in $box alone
--     saved     files in $box whose new version counts as saved as soon as the program goes on
--     measured  more of these, which also say how fast the machine was
--     beside    files that come with the first of `saved`: a disk with a version of that has what they had then
--     becomes   names that some of these get in the end
--     precious  files of `fill` whose bytes must be found in $box, under whatever name, at any time
--     finals    files that are in the end as if nothing had happened, each with what to compare of it
--     readable  shell text that says with 0 whether all that has a final name in $box can be read
-- $box is a folder that is there; $bin has tiny.lua's programs; $texts has texts and a run.
local scenes = {}

local function whole(bytes) return bytes end

-- A log without what depends on the machine's speed.
local function untimed(bytes)
  for _, key in ipairs { "ms", "tokens_per_s", "mfu" } do
    bytes = bytes:gsub(', *"' .. key .. '": *[null0-9.e+-]*', "")
  end
  return bytes
end

-- The same of a table: its first columns.
local function columns(n)
  return function(bytes)
    return (bytes:gsub("[^\n]+", function(line)
      local kept = {}
      for field in line:gmatch("[^,]+") do kept[#kept + 1] = field end
      return table.concat(kept, ",", 1, math.min(n, #kept))
    end))
  end
end

local train = '"$bin/train" --out_dir="$box/run" --threads=1'
-- The sampler reads both with all their hashes.
local readable = [[
for f in state ckpt; do
    [ ! -e "$box/run/$f.safetensors" ] ||
        "$bin/sample" --checkpoint="$box/run/$f.safetensors" --verify --num_samples=0 >/dev/null || exit
done]]

-- A training in $box/run. flags: of the command.
local function training(scene, flags)
  scene.command = scene.command or train .. flags
  scene.saved = { "run/state.safetensors", "run/ckpt.safetensors" }
  scene.measured = { "run/run.json" }
  scene.readable = readable
  scene.finals = { ["run/state.safetensors"] = whole, ["run/ckpt.safetensors"] = whole,
    ["run/metrics.jsonl"] = untimed }
  scene.beside = { "run/metrics.jsonl" }
  if flags:find("--csv=1", 1, true) then
    scene.finals["run/metrics.csv"], scene.finals["run/evaluations.csv"] = columns(5), columns(3)
    table.move({ "run/metrics.csv", "run/evaluations.csv" }, 1, 2, 2, scene.beside)
  end
  if flags:find("--tensorboard=1", 1, true) then
    table.insert(scene.beside, "run/events.out.tfevents.0000000000")
  end
  return scene
end

-- Tokens in $box/d. flags: of build/prepare; made: another program has just made the folder.
local function tokens(scene, flags)
  scene.command = (scene.made and 'sh -c \'mkdir -p "$0" && exec "$@"\' "$box/d" ' or "") ..
    "build/prepare --name=d " .. flags
  scene.saved = {}
  scene.finals = { ["d/train.bin"] = whole, ["d/val.bin"] = whole, ["d/meta.json"] = whole }
  return scene
end
local of_text = ('--out="$box/d" --sha256=%s --text="$texts/'):format(("0"):rep(64))
-- What is done of documents is saved, and the command goes on with it.
local function documents(scene, flags)
  tokens(scene, flags)
  scene.saved, scene.beside = { "d/documents.json" }, { "d/train.bin.tmp", "d/val.bin.tmp" }
  scene.becomes = { ["d/train.bin.tmp"] = "d/train.bin", ["d/val.bin.tmp"] = "d/val.bin" }
  return scene
end
local of_documents = '--out="$box/d" --documents="$texts/documents" --gpt2="$texts/bpe" --val=0.2 --unit=60 --threads=1'
local other_text = 'build/prepare --name=d ' .. of_text .. 'b"'

-- Where a run of before goes on, its next state comes before its next checkpoint: each is then seen without the other.
scenes.list = {
  training({ name = "a training" }, ""),
  training({ name = "a training with tables and event files" }, " --csv=1 --tensorboard=1"),
  training({ name = "a training in a folder that was just made",
    command = [=[sh -c 'mkdir -p "$0/run" && exec "$1" --out_dir="$0/run" --threads=1' "$box" "$bin/train"]=] }, ""),
  training({ name = "a resumed training", fill = train .. " --csv=1 --max_iters=6" }, " --csv=1"),
  training({ name = "a training over another one", fill = train .. " --seed=5 --tensorboard=1",
    precious = { "run/state.safetensors", "run/ckpt.safetensors", "run/metrics.jsonl", "run/run.json",
      "run/events.out.tfevents.0000000000" } }, " --init_from=scratch"),
  training({ name = "a training whose log is damaged", precious = { "run/metrics.jsonl" },
    fill = train .. ' --max_iters=6; echo nonsense >>"$box/run/metrics.jsonl"' }, ""),
  tokens({ name = "tokens of a text" }, of_text .. 'a"'),
  tokens({ name = "tokens in a folder that was just made", made = true }, of_text .. 'a"'),
  tokens({ name = "tokens of a text with other line ends" }, of_text .. 'a" --newlines=lf'),
  tokens({ name = "tokens of a text of the same length", fill = other_text }, of_text .. 'a"'),
  tokens({ name = "tokens that are not what they were", precious = { "d/train.bin", "d/val.bin" },
    fill = other_text .. '; echo more >>"$box/d/train.bin"; echo more >>"$box/d/val.bin"' }, of_text .. 'a"'),
  tokens({ name = "tokens of another program", precious = { "d/train.bin", "d/val.bin", "d/meta.pkl" },
    fill = 'cp -r tests/earlier/data/adopted "$box/d"; rm "$box/d/meta.json"' }, '--adopt="$box/d"'),
  documents({ name = "tokens of documents" }, of_documents),
  documents({ name = "tokens of documents of which some are done", fill = 'mkdir "$box/in" && ' ..
    'cp "$texts/documents/lines.jsonl" "$box/in/a.jsonl" && cp -r "$texts/documents/more" "$box/in/b" && ' ..
    'echo no >>"$box/in/a.jsonl" && ! build/prepare --name=d ' .. of_documents .. ' --documents="$box/in" && ' ..
    'sed -i "\\$d" "$box/in/a.jsonl"' }, of_documents .. ' --documents="$box/in"'),
  { name = "attention weights", saved = { "heads.json" }, finals = { ["heads.json"] = whole },
    command = '"$bin/sample" --checkpoint="$texts/run/state.safetensors" --start=the --attention="$box/heads.json"' },
}

return scenes
