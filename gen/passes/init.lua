-- The passes, in the order in which they run. Each changes the graph in place and knows nothing of
-- the others; gen/verify.lua checks the graph after each.
return { "autodiff", "recompute", "fuse", "layout", "plan" }
