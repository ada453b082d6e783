-- spec/prove: the short version of its storms, and that what it says can be believed. Its
-- kills at every store and instruction, and its storm in C, are tests by themselves
-- (spec/store).

local store_file = require "store_file"
local run = require("shell").run

after_each(store_file.clean)

local function rows_of(text)
  local rows = {}
  for promise, method, cases, violations in
    text:gmatch("([^\n]-)  +([^\n]-)  +(%d+) +(%d+)\n") do
    rows[#rows + 1] = { promise = promise, method = method, cases = tonumber(cases),
      violations = tonumber(violations) }
  end
  return rows
end

describe("make prove", function()
  it("finds nothing in short storms of Lua processes, and around nginx", function()
    local text, status = run("spec/prove/run --quick lua nginx")
    assert.equal(0, status, text)
    local rows = rows_of(text)
    assert.is_true(#rows >= 14, text)
    for _, row in ipairs(rows) do
      assert.is_true(row.cases > 0, row.method)
      assert.equal(0, row.violations, row.method)
    end
  end)

  it("fails where a part cannot be run", function()
    local text, status = run(("BUILD='%s' spec/prove/run --quick storm"):format(
      store_file.folder()))
    assert.equal(1, status)
    assert.matches("could not be tried, or failed +kill_test: exit status %d+ +0 +1\n", text)
  end)

  it("knows its parts", function()
    assert.equal(2, (select(2, run("spec/prove/run nonsense"))))
    assert.equal(0, (select(2, run("spec/prove/run --help"))))
  end)
end)

describe("the deliberate bugs", function()
  it("apply, and name a promise and tests that there are", function()
    assert.same({ "", 0 }, { run("spec/prove/mutate --check") })
  end)

  it("are at least fifteen", function()
    local names = run("ls spec/prove/mutants/*.patch")
    assert.is_true(select(2, names:gsub("\n", "")) >= 15)
  end)
end)
