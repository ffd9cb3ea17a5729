-- test_wrap: emitted lines are broken at 100 columns as a person would break them, and short lines are kept.
local check = require "tests.gen.check"
local wrap = require "gen.emit.wrap"

local function becomes(text, wanted)
  return function() check.same_text(wrap.text(text), wanted or text) end
end

check.test("short lines are kept", becomes("int a;\n\n    f(a, b);\n// words\n#define X 1\n"))

check.test("a macro's backslashes are in the last column", becomes("#define X \\\n    call(a); \\\n    1\n",
  "#define X" .. (" "):rep(90) .. "\\\n    call(a);" .. (" "):rep(87) .. "\\\n    1\n"))

check.test("a signature continues after its bracket", becomes(
  "static void a_rather_long_name(float *restrict first, const float *second, const float *third, int fourth) {\n",
  "static void a_rather_long_name(float *restrict first, const float *second, const float *third,\n" ..
  "                               int fourth) {\n"))

check.test("a line is broken inside the fewest brackets", becomes(
  "    acc[r] = vec_fma(row_load(a_row + (size_t)(row0 + r) * C, c, C), row_load(another_row, c, C), acc[r]);\n",
  "    acc[r] = vec_fma(row_load(a_row + (size_t)(row0 + r) * C, c, C), row_load(another_row, c, C),\n" ..
  "                     acc[r]);\n"))

check.test("several lines begin in the same column", becomes(
  "    call(" .. ("argument, "):rep(25) .. "last);\n",
  "    call(" .. ("argument, "):rep(8) .. "argument,\n" ..
  "         " .. ("argument, "):rep(8) .. "argument,\n" ..
  "         " .. ("argument, "):rep(7) .. "last);\n"))

check.test("a call broken by its template is broken again", becomes(
  "    longer_name_than_before(one, two,\n            three);\n", "    longer_name_than_before(one, two, three);\n"))

check.test("declarations continue under the first name", becomes(
  "        const int row = i + r, col = p * TILE_COLS + v * VEC, lanes = v == vecs - 1 ? last : VEC + 0;\n",
  "        const int row = i + r, col = p * TILE_COLS + v * VEC,\n" ..
  "                  lanes = v == vecs - 1 ? last : VEC + 0;\n"))

check.test("a comment after a long line moves above it", becomes(
  "    const float *attn_c_attn_weight_packed = m->packed + 20608 + (size_t)l * 393216; // (12, 128, 32) f32\n",
  "    // (12, 128, 32) f32\n" ..
  "    const float *attn_c_attn_weight_packed = m->packed + 20608 + (size_t)l * 393216;\n"))

check.test("a comment continues in its next line", becomes(
  "// " .. ("word "):rep(19) .. "than fits\n// follows here.\n//\n// Another paragraph.\nint a;\n",
  "// " .. ("word "):rep(19):sub(1, -2) .. "\n// than fits follows here.\n//\n// Another paragraph.\nint a;\n"))

check.test("an item of a list begins its own line", becomes(
  "// " .. ("word "):rep(19) .. "than fits\n// - item\n",
  "// " .. ("word "):rep(19):sub(1, -2) .. "\n// than fits\n// - item\n"))

check.test("a rule is cut", becomes(
  "// ---- a title " .. ("-"):rep(95) .. "\n", "// ---- a title " .. ("-"):rep(84) .. "\n"))

check.test("without room after a bracket, a line continues at the statement's indentation", becomes(
  "    value_of_a_long_name_here.v[i] = value_of_a_long_name_here.v[i] * mask_of_a_name(&a, " ..
  "SOMETHING_THAT_IS_LONG(COLUMNS));\n",
  "    value_of_a_long_name_here.v[i] = value_of_a_long_name_here.v[i] * mask_of_a_name(&a,\n" ..
  "        SOMETHING_THAT_IS_LONG(COLUMNS));\n"))

check.test("without a comma, a line is broken after a bracket or an equals sign", becomes(
  "    store_of_a_kernel_with_many_sizes_in_its_name<2 * PAIRS>(rows_of_it + (size_t)b * COLUMNS + head * SIZE, " ..
  "LAST);\n        const float first = statistic_of_a_kernel_with_many_sizes_in_its_name_and_more(lse + at_first, " ..
  "key);\n",
  "    store_of_a_kernel_with_many_sizes_in_its_name<2 * PAIRS>(\n" ..
  "        rows_of_it + (size_t)b * COLUMNS + head * SIZE, LAST);\n" ..
  "        const float first =\n" ..
  "            statistic_of_a_kernel_with_many_sizes_in_its_name_and_more(lse + at_first, key);\n"))

check.test("a parameter that its column has no room for is indented by four columns", becomes(
  "        static void a_kernel_with_a_long_name_of_its_own(int a, const struct of_a_kernel_with_a_long_name *here, " ..
  "struct another_name_that_is_long *there) {\n",
  "        static void a_kernel_with_a_long_name_of_its_own(int a,\n" ..
  "            const struct of_a_kernel_with_a_long_name *here,\n" ..
  "            struct another_name_that_is_long *there) {\n"))

check.test("a long comment is broken between words", becomes(
  "    // " .. ("word "):rep(30) .. "end\n",
  "    // " .. ("word "):rep(17) .. "word\n    // " .. ("word "):rep(12) .. "end\n"))

check.test("a line is not broken at commas within a string", becomes(
  '    print("' .. ("a, "):rep(29) .. '", 1);\n', '    print("' .. ("a, "):rep(29) .. '",\n          1);\n'))

check.test("what cannot be broken is kept", becomes(
  "    " .. ("x"):rep(120) .. ";\n// " .. ("y"):rep(120) .. "\n"))

check.test("preprocessor lines are kept", becomes(
  "#define LONG(a, b) " .. ("f(a, b), "):rep(15) .. "0\n    f(" .. ("a, "):rep(40) .. "\\\n      b)\n"))

check.test("a string is not broken, also where it is a line of its own", becomes(
  "const char *const name = \"" .. ("f(1) = x "):rep(12) .. "\";\n",
  "const char *const name =\n    \"" .. ("f(1) = x "):rep(12) .. "\";\n"))

check.test("only blanks and line ends change", function()
  for _, path in ipairs { "runtime/kernel/vec.h", "runtime/kernel/kernel.h", "runtime/programs/train.c",
    "runtime/base/json.c" } do
    local file = assert(io.open(path, "rb"))
    local text = file:read("a")
    file:close()
    check.equal((wrap.text(text):gsub("%s+", "")), (text:gsub("%s+", "")), path)
  end
end)

check.finish()
