//$ function run_keys(k)
// run_keys.h: the schema of gen/config/keys.lua: the trainer's flags, and what each key changes.
//     RUN_KEY(type, name, min, max, changes_results, help)
//     KEY(name, changes, shape, absent)
#ifdef RUN_KEY
//$ for _, key in ipairs(k.flags) do
RUN_KEY($(key.type), $(key.name), $(key.min), $(key.max), $(tostring(key.changes_results)),
        $(key.help))
//$ end
#endif
#ifdef KEY
//$ for _, key in ipairs(k.keys) do
KEY($(key.name), $(key.changes), $(tostring(key.shape)), $(key.absent))
//$ end
#endif
//$ end
