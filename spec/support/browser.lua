-- Headless Chromium, driven through chromedriver by the W3C WebDriver protocol: what
-- a person sees on a page, and does. Knows browsers; which page it is, is the specs'
-- concern. See https://www.w3.org/TR/webdriver2/.

local cjson = require "cjson"
local http = require "socket.http"
local ltn12 = require "ltn12"
local mime = require "mime"
local process = require "process"
local assert = require "luassert"
local store_file = require "store_file"
local wait_until = require "wait_until"

local browser = {}

---@class Browser
---@field private driver integer the pid of chromedriver
---@field private url string of chromedriver, then of the session
---@field private folder string
local Browser = {}
Browser.__index = Browser

---@type table<integer, Browser>
local living = {}

-- The key by which WebDriver marks a reference to an element.
local ELEMENT = "element-6066-11e4-a52e-4f735466cecf"

local FLAGS = {
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
  "--disable-dev-shm-usage", "--window-size=1100,800",
}

-- ------------------------------------------------------------------- the protocol

---Sends a command. Returns its value, or nil and what WebDriver says is wrong.
local function send(url, method, body)
  local text = body and cjson.encode(body)
  local answer = {}
  local sent, status = http.request({
    url = url, method = method, sink = ltn12.sink.table(answer),
    source = text and ltn12.source.string(text),
    headers = { ["content-type"] = "application/json", ["content-length"] = text and #text or 0 },
  })
  if not sent then return nil, tostring(status) end
  local value = cjson.decode(table.concat(answer)).value
  if status ~= 200 then return nil, value.error .. ": " .. value.message end
  return value
end

---Sends a command of the session and fails unless it succeeds.
function Browser:command(method, path, body)
  local value, problem = send(self.url .. path, method, body)
  if problem then error(path .. ": " .. problem, 0) end
  return value
end

-- ------------------------------------------------------------------ start and end

-- Chromium as a program that ends with chromedriver, which would leave it behind when it is
-- killed itself.
local function write_launcher(folder)
  local path = folder .. "/chromium"
  store_file.write(path, '#!/bin/sh\nexec setpriv --pdeathsig TERM chromium "$@"\n')
  assert(os.execute("chmod +x '" .. path .. "'"))
  return path
end

---Starts a browser.
---@return Browser
function browser.start()
  local folder, port = assert(process.mkdtemp()), process.free_port()
  local self = setmetatable({ folder = folder, url = "http://127.0.0.1:" .. port }, Browser)
  self.driver = assert(process.spawn({
    "chromedriver", "--port=" .. port,
    stdout = folder .. "/chromedriver", stderr = folder .. "/chromedriver.errors",
    env = { LD_PRELOAD = false, TMPDIR = folder },
  }))
  living[self.driver] = self
  wait_until(function() return send(self.url .. "/status", "GET") end, "chromedriver to answer", 30)
  local flags = { "--user-data-dir=" .. folder .. "/profile" }
  for _, flag in ipairs(FLAGS) do flags[#flags + 1] = flag end
  local session = self:command("POST", "/session", { capabilities = { alwaysMatch = {
    browserName = "chrome",
    ["goog:chromeOptions"] = { binary = write_launcher(self.folder), args = flags },
    ["goog:loggingPrefs"] = { browser = "ALL" },
  } } })
  self.url = self.url .. "/session/" .. session.sessionId
  return self
end

function Browser:stop()
  living[self.driver] = nil
  pcall(self.command, self, "DELETE", "")
  process.kill(self.driver, "TERM")
  local how = process.wait(self.driver, 10)
  if how == "timeout" then
    process.kill(self.driver, "KILL")
    process.wait(self.driver)
  end
  os.execute("rm -rf '" .. self.folder .. "'")
  assert(how ~= "timeout", "chromedriver did not end")
end

---Ends whatever was started: for teardown.
function browser.stop_all()
  local left = {}
  for _, one in pairs(living) do left[#left + 1] = one end
  for _, one in ipairs(left) do one:stop() end
end

-- ------------------------------------------------------------------- what is seen

---Goes to an address and waits until the document is loaded.
---@param url string
function Browser:open(url) self:command("POST", "/url", { url = url }) end

---Runs JavaScript in the page: the body of a function, with 'arguments'.
---@param script string
---@return any value
function Browser:run(script, ...)
  -- One more, unused: cjson would write no arguments as {}.
  local arguments = { ... }
  arguments[#arguments + 1] = cjson.null
  return self:command("POST", "/execute/sync", { script = script, args = arguments })
end

---The first element that a CSS selector finds; fails where there is none.
---@param selector string
---@return string path of its commands
function Browser:element(selector)
  local found = self:command("POST", "/element", { using = "css selector", value = selector })
  return "/element/" .. found[ELEMENT]
end

---What the page's element says, or nil if there is none that is shown.
---@param selector string
---@return string?
function Browser:text(selector)
  local text = self:run([[
    const element = document.querySelector(arguments[0]);
    return element && element.checkVisibility() ? element.innerText : null;]], selector)
  return text ~= cjson.null and text or nil
end

---Waits until the page's element says something that matches, or is gone (nil).
---@param selector string
---@param pattern string? of Lua
---@param timeout number? seconds (10)
function Browser:await(selector, pattern, timeout)
  local text
  local arrived = pcall(wait_until, function()
    text = self:text(selector)
    return not pattern and text == nil or pattern and text ~= nil and text:find(pattern) ~= nil
  end, "", timeout)
  assert(arrived, ("%s is %q, waited in vain for %q"):format(selector, tostring(text),
    tostring(pattern)))
end

---How assistive technology names the element.
function Browser:label(selector)
  return self:command("GET", self:element(selector) .. "/computedlabel")
end

---What assistive technology takes the element for.
function Browser:role(selector)
  return self:command("GET", self:element(selector) .. "/computedrole")
end

---What the page wrote to its console since the last time, with what the browser has
---to say about it: blocked scripts, failed requests.
---@return { level: string, message: string, source: string }[]
function Browser:console() return self:command("POST", "/se/log", { type = "browser" }) end

---@param path string of a PNG file
function Browser:screenshot(path)
  store_file.write(path, (mime.unb64(self:command("GET", "/screenshot"))))
end

-- ------------------------------------------------------------------- what is done

function Browser:click(selector) self:command("POST", self:element(selector) .. "/click", {}) end

---@param selector string
---@param keys string
function Browser:type(selector, keys)
  self:command("POST", self:element(selector) .. "/value", { text = keys })
end

function Browser:reload() self:command("POST", "/refresh", {}) end

function Browser:back() self:command("POST", "/back", {}) end

---Asks Chromium itself: https://chromedevtools.github.io/devtools-protocol/.
function Browser:devtools(command, parameters)
  return self:command("POST", "/goog/cdp/execute", { cmd = command, params = parameters })
end

---Shows pages as on a screen of this size.
function Browser:screen(width, height)
  self:devtools("Emulation.setDeviceMetricsOverride",
    { width = width, height = height, deviceScaleFactor = 1, mobile = width < 500 })
end

---@param scheme "light"|"dark"
function Browser:scheme(scheme)
  self:devtools("Emulation.setEmulatedMedia",
    { features = { { name = "prefers-color-scheme", value = scheme } } })
end

return browser
