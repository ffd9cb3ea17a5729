//$ function run_keys(k)
// run_keys.h: the trainer's flags, from the schema in gen/config.lua.
//     RUN_KEY(type, name, min, max, changes_results, help)
//$ for _, key in ipairs(k.keys) do
RUN_KEY($(key.type), $(key.name), $(key.min), $(key.max), $(tostring(key.changes_results)),
        $(key.help))
//$ end
//$ end
