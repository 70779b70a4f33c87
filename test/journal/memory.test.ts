import { SagaJournal } from "effect-saga/SagaJournal"
import { suite } from "./suite.ts"

suite("the journal in memory", { layer: SagaJournal.layerMemory, noticesDeath: true })
