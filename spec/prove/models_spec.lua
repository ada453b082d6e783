-- spec/prove/model: all that can happen in the models, and that what is left out is missed.
-- Run once: tools/test.

local prove_table = require "prove_table"

describe("the models of the protocols", function()
  it("hold, and are refuted where one thing is left out", function()
    prove_table.check("models", 11)
  end)
end)
