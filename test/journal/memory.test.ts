import { SagaJournal } from "effect-saga/SagaJournal"
import { suite } from "./suite.ts"

suite("in memory", { layer: SagaJournal.layerMemory, noticesDeath: true })
