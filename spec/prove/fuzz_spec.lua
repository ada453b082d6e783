-- spec/prove/fuzz: seconds of it, of store files, JSON and HTTP requests. What is found in
-- hours is found by 'make prove'. Run once: tools/test.

local prove_table = require "prove_table"

describe("fuzzing", function()
  it("harms nobody for some seconds", function()
    prove_table.check("fuzz", 4)
  end)
end)
