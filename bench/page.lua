-- Asks for pages of 50 packages, another one each time; the kind is the script's first argument.
local names = { "firmware", "application", "bootloader", "configuration", "container" }
local boards = { "verdin-imx8mp", "apalis-imx8", "colibri-imx7d", "docker-compose" }

local function one_of(values)
   return values[math.random(#values)]
end

local function order()
   return "&sortBy=" .. one_of({ "Filename", "CreatedAt" }) .. "&sortDirection=" .. one_of({ "Asc", "Desc" })
end

-- The end of a name and the first of its digits that tell: 10 names or 20, of 20 versions each.
local function part()
   return one_of(names):sub(-math.random(4, 8)) .. "-0" .. math.random(0, 9)
end

local turn = 0
local mixture = {
   function() return "offset=" .. math.random(0, 9950) end,
   function() return "nameContains=" .. part() .. "&offset=" .. math.random(0, 150) .. order() end,
   function() return "hardwareIds=" .. one_of(boards) .. "&offset=" .. math.random(0, 2450) .. order() end,
   function() return "offset=" .. math.random(0, 9950) .. order() end,
}
local pages = {
   any = function() return "offset=" .. math.random(0, 9950) end,
   name = function() return "nameContains=ware-01&offset=" .. math.random(0, 150) end,
   hardware = function() return "hardwareIds=apalis-imx8&offset=" .. math.random(0, 2450) end,
   sorted = function() return "sortBy=Filename&sortDirection=Asc&offset=" .. math.random(0, 9950) end,
   mixed = function()
      turn = turn % #mixture + 1
      return mixture[turn]()
   end,
}
local page

function init(arguments)
   math.randomseed(1)
   page = pages[arguments[1]]
end

function request()
   return wrk.format("GET", "/api/v2beta/packages?limit=50&" .. page())
end
