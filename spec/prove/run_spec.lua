-- spec/prove: the short version of its storms, and that what it says can be believed. Its
-- kills at every store and instruction, its storm in C and the long run are tests by
-- themselves (spec/store); models_spec and fuzz_spec run other parts.

local store_file = require "store_file"
local prove_table = require "prove_table"
local run = require("shell").run

after_each(store_file.clean)

describe("make prove", function()
  it("finds nothing in short storms of Lua processes, and around nginx", function()
    prove_table.check("lua nginx", 14)
  end)

  it("fails where a part cannot be run", function()
    local text, status = run(("BUILD='%s' spec/prove/run --quick storm"):format(
      store_file.folder()))
    assert.equal(1, status)
    assert.matches("could not be tried, or failed +kill_test: exit status %d+ +0 +1\n", text)
  end)

  it("fails where a case was skipped", function()
    local folder = store_file.folder()
    local says = [[printf '    skipped: nobody is root\nprove\tp\tm\t7\t0\n']]
    run(("mkdir -p '%s/store'"):format(folder))
    for _, program in ipairs { "kill_test", "storm_test" } do
      local path = folder .. "/store/" .. program
      local file = assert(io.open(path, "w"))
      assert(file:write("#!/bin/sh\n", says, "\n"))
      assert(file:close())
      run(("chmod +x '%s'"):format(path))
    end
    local text, status = run(("BUILD='%s' spec/prove/run --quick storm"):format(folder))
    assert.equal(1, status)
    assert.matches("could not be tried, or failed +kill_test: nobody is root +0 +1\n", text)
    assert.matches("p +m +7 +0\n", text)
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
