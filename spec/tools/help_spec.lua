-- What the project's commands say of themselves.

local run = require("shell").run

describe("--help", function()
  for _, command in ipairs { "tools/lint", "tools/deps", "tools/test", ".ci/run" } do
    it("of " .. command .. " says what it does, and nothing is done", function()
      for _, option in ipairs { "--help", "-h" } do
        local text, status = run(command .. " " .. option)
        assert.equal(0, status, text)
        assert.matches("^%u[^\n]+\n", text)
        assert.is_true(#text > 100)
        assert.is_nil(text:find("set -u", 1, true))
      end
    end)
  end
end)

describe("a word that is none of theirs", function()
  for command, expected in pairs { ["tools/lint"] = "tools/lint: no such check: lnt\n",
    [".ci/run"] = ".ci/run takes no arguments, got lnt\n" } do
    it("is refused by " .. command, function()
      assert.same({ expected, 2 }, { run(command .. " lnt") })
    end)
  end
end)
