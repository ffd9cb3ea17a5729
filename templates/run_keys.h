//$ function run_keys(k)
// run_keys.h: the trainer's flags, and what is baked into it, from the schema in gen/config/keys.lua.
//     RUN_KEY(type, name, min, max, changes_results, help)
//     BAKED_KEY(name, effect, sampler)
#ifdef RUN_KEY
//$ for _, key in ipairs(k.keys) do
RUN_KEY($(key.type), $(key.name), $(key.min), $(key.max), $(tostring(key.changes_results)),
        $(key.help))
//$ end
#endif
#ifdef BAKED_KEY
//$ for _, key in ipairs(k.baked) do
BAKED_KEY($(key.name), $(key.effect), $(key.sampler))
//$ end
#endif
//$ end
