-- What is sent when a browser asks for the page; what people see of it is in
-- spec/resty/page_spec.lua.

local page = require "resty.job_tracker.page"

describe("the page's text", function()
  local function settings_in(html)
    return html:match('<meta name="job%-tracker" content="([^"]*)">')
  end

  it("tells its script what the server offers", function()
    local html = page.render { base = "/status/", list = true, cancel = true }
    assert.equal("{&quot;base&quot;:&quot;/status/&quot;,&quot;list&quot;:true,"
      .. "&quot;events&quot;:false,&quot;cancel&quot;:true}", settings_in(html))
  end)

  it("stays whole whatever the base is", function()
    local html = page.render { base = "/\"'<&\\\1>/" }
    assert.equal("{&quot;base&quot;:&quot;/\\u0022'&lt;&amp;\\u005c\\u0001&gt;/&quot;,"
      .. "&quot;list&quot;:false,&quot;events&quot;:false,&quot;cancel&quot;:false}",
      settings_in(html))
  end)

  it("runs and shows only what carries the nonce of its policy, each time another", function()
    local seen = {}
    for _ = 1, 100 do
      local html, policy = page.render { base = "/" }
      local nonce = policy:match("script%-src 'nonce%-(%x+)'")
      assert.equal(32, #nonce)
      assert.is_nil(seen[nonce])
      seen[nonce] = true
      assert.is_truthy(policy:find("style-src 'nonce-" .. nonce .. "'", 1, true))
      local _, marked = html:gsub('<%a+ nonce="' .. nonce .. '">', "")
      local _, blocks = html:gsub("<script", "")
      local _, sheets = html:gsub("<style", "")
      assert.same({ 2, 1, 1 }, { marked, blocks, sheets })
    end
  end)

  it("allows nothing else", function()
    local _, policy = page.render { base = "/" }
    assert.equal("default-src 'none'; script-src; style-src; connect-src 'self'; img-src data:; "
      .. "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
      .. "require-trusted-types-for 'script'; trusted-types 'none'",
      (policy:gsub(" 'nonce%-%x+'", "")))
  end)

  it("names nothing elsewhere, and needs no attribute that the policy forbids", function()
    local html = page.render { base = "/" }
    html = html:gsub("http://www%.w3%.org/2000/svg", "")
    assert.is_nil(html:find("https?://"))
    assert.is_nil(html:find("%ssrc="))
    assert.is_nil(html:find("<[^>]-%sstyle="))
    assert.is_nil(html:find("<[^>]-%son%a+="))
  end)

  it("is not made for what is no base", function()
    for _, base in ipairs({ "", "status/", "/status", 1, {} }) do
      local _, message = pcall(function() page.render { base = base } end)
      assert.matches("page_spec.lua:%d+: render: base must be a path with a slash", message)
    end
  end)
end)
